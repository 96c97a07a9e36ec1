import FloeWire
import FrozenImage
import SwiftProtobuf

extension SnapshotFill {
  init(wire: Floe_V1_SnapshotFill) throws(WireError) {
    self.init(
      title: try wire.title.checked("what fills up"), data: wire.dataPercent,
      metadata: wire.hasMetadataPercent ? wire.metadataPercent : nil,
      advice: try wire.advice.checked("the advice about what fills up"))
  }

  var wire: Floe_V1_SnapshotFill {
    .with {
      $0.title = title
      $0.dataPercent = data
      if let metadata { $0.metadataPercent = metadata }
      $0.advice = advice
    }
  }
}
