/// Ends the program with a status; everything was said already.
struct SilentExit: Error {
  let status: Int32
}
