import TestTags
import Testing

extension EndToEnd {
  /// Paths that are not UTF-8, as old servers have them. The tests are shell scripts, as the
  /// words of a Swift program are UTF-8.
  @Suite("Paths that are not UTF-8", .tags(.needsRoot, .needsLoopDevices, .needsFUSE))
  struct Paths {
    /// Runs a script in the scratch's directory; `$floe` is the program, `$B` an odd name.
    /// What it mounts and starts goes with it, as the scratch does not see such paths.
    private func expectSuccess(
      _ scratch: Scratch, _ script: String, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      let prologue = """
        set -eu
        export LC_ALL=C
        cd "$1"; floe=$2; B=$'caf\\xe9\\xff'; jobs=()
        end() {
          status=$?
          awk -v w="$1/" 'index($5, w) == 1 {print $5}' /proc/self/mountinfo | sort -r |
            while IFS= read -r m; do case $m in *$'\\xe9'*) umount -l "$(printf %b "$m")" ;; esac; done
          for job in ${jobs[@]+"${jobs[@]}"}; do kill $job || :; wait $job || :; done
          [ $status = 0 ] || echo "line $2 failed" >&2
          exit $status
        }
        trap 'end "$1" $LINENO' EXIT

        """
      let outcome = try attempt(
        "bash", ["-c", prologue + script, "paths", scratch.path, Floe.program], seconds: 300)
      #expect(
        outcome.succeeded, "\(outcome.output)\(outcome.errors)", sourceLocation: sourceLocation)
    }

    @Test("A disk image, a representation, a mount point, a medium, a manifest")
    func file() throws {
      let scratch = try Scratch()
      _ = try Ext4Image.make(in: scratch, megabytes: 16) {
        try $0.writer.random("f", bytes: 50_000)
      }
      try expectSuccess(
        scratch,
        """
        mkdir k "$B" "$B/m"; mount -o loop ext4.img k; mkdir "k/$B"; cp k/f "k/$B/$B"; cp k/f f; umount k
        mv ext4.img "$B/i"; cd "$B"
        "$floe" freeze i --explain | grep -F 'caf\\xE9\\xFF/i'
        "$floe" freeze i -o "$B.floe"
        "$floe" inspect "$B.floe" "/$B/$B" | grep -F 'caf\\xE9\\xFF'
        "$floe" verify "$PWD/$B.floe" -o "$B.json"; test -s "$B.json"
        "$floe" mount "$B.floe" m
        cmp ../f "m/$B/$B"
        "$floe" status m | grep -F 'caf\\xE9\\xFF/i'
        "$floe" explain "m/$B/$B" 4096 > explained
        # The line works as it is printed.
        bash -c "$(sed -n 's/^ *dd /dd /p' explained)" > block
        cmp block <(dd if=../f bs=4096 skip=1 count=1 status=none)
        "$floe" umount m; ! mountpoint -q m
        id=$("$floe" inspect "$B.floe" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["media"][0]["id"])')
        mv i "other$B"
        "$floe" mount "$B.floe" "$PWD/m" --medium "$id=other$B"
        cmp ../f "m/$B/$B"; "$floe" umount "$PWD/m"
        "$floe" mount "$B.floe" m -o "medium=$id=$PWD/other$B,noexec"
        cmp ../f "m/$B/$B"; "$floe" umount --lazy m
        ! "$floe" freeze "missing$B" -o no 2> errors; grep -F 'missingcaf\\xE9\\xFF' errors
        """)
    }

    @Test("A state directory and its service")
    func service() throws {
      let scratch = try Scratch()
      _ = try Ext4Image.make(in: scratch, megabytes: 16) {
        try $0.writer.random("f", bytes: 50_000)
      }
      try expectSuccess(
        scratch,
        """
        mkdir "$B" m "$B/m"; mv ext4.img "$B/i"; cd "$B"
        "$floe" freeze i --name a -o a.floe --state "state$B"
        test -f "state$B/images/"*/representation.floe
        "$floe" images --state "state$B" | grep -F 'caf\\xE9\\xFF/i'
        "$floe" serve --state "state$B" 2> log & jobs+=($!)
        for _ in $(seq 100); do [ -S "state$B/floe.sock" ] && break; sleep 0.1; done
        id=$("$floe" inspect "floe+unix:state$B/floe.sock/a" --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["media"][0]["id"])')
        "$floe" mount "floe+unix:state$B/floe.sock/a" m --medium "$id=i"
        "$floe" status m | grep -F ', reachable'
        "$floe" images --state "state$B" | grep -F 'caf\\xE9\\xFF/m'
        ! "$floe" thaw a --state "state$B" 2> errors; grep -F 'caf\\xE9\\xFF/m' errors
        "$floe" umount m
        # The file names the same service, by its path.
        "$floe" mount a.floe m --medium "$id=i"; "$floe" status m | grep -F ', reachable'
        "$floe" umount m
        "$floe" thaw a --state "state$B"; ! test -e "state$B/images/"*
        """)
    }

    @Test("A subvolume, a directory on ext4 and one on XFS, and physical volumes")
    func directories() throws {
      let scratch = try Scratch()
      let volume = try Volume(.single, in: scratch, megabytes: 256)
      let content = try Ext4Image.make(in: scratch, megabytes: 16) {
        try $0.writer.random("f", bytes: 9999)
      }
      let logical = try LogicalVolume(in: scratch, content: content, megabytes: 16, volumes: 1)
      try expectSuccess(
        scratch,
        """
        mkdir "$B" m k x state
        btrfs -q subvolume create "production/$B"; echo there > "production/$B/f"
        "$floe" freeze "production/$B" --name b --state state; test -d production/.floe/*
        "$floe" images --state state | grep -F 'production/caf\\xE9\\xFF'
        "$floe" thaw b --state state; ! test -e production/.floe

        mount -o loop ext4.img k; mkdir "k/$B"; cp k/f "k/$B/f"; mount -o remount,ro k
        "$floe" freeze "k/$B" -o "$B/e.floe"
        cp k/f f; umount k
        "$floe" mount "$B/e.floe" m; cmp m/f f; "$floe" umount m

        truncate -s 320M xfs; mkfs.xfs -q xfs; mount -o loop xfs x; mkdir "x/$B"; echo there > "x/$B/f"
        "$floe" freeze "x/$B" --name x --state state; test -d x/.floe/*
        "$floe" thaw x --state state; ! test -e x/.floe/*; umount x

        ln physical-0 "$B/pv"
        "$floe" freeze "\(logical.path)" --pv "$B/pv" --explain | grep -F 'caf\\xE9\\xFF/pv'
        """)
      _ = volume
    }
  }
}
