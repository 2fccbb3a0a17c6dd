# Sourced by the stages that build several packages. These share a folder of builds, so that the
# library is compiled once for each kind; SwiftPM must not remember then which of them it planned
# last. There is a folder for each kind also because SwiftPM locks it while tests run, and other
# stages run at the same time. .build itself is that of `swift test`.
#
# Sets `root` and `examples`, optimised and with MPI; the stage build shows that none is needed. And
# `debug_examples` and `server`, for debugging.

shared=(--disable-build-manifest-caching --scratch-path)
root=(-c release --traits MPI "${shared[@]}" .build/optimised)
examples=("${root[@]}" --package-path Examples)
debug_examples=("${shared[@]}" .build/debugging --package-path Examples)
server=("${shared[@]}" .build/debugging --package-path Examples/Server)

# Builds the examples optimised as for their tests, without which all would be compiled anew with
# other flags, and prints the folder of the commands.
build_examples() {
    swift test list "${examples[@]}" >/dev/null &&
        swift build "${examples[@]}" --show-bin-path
}
