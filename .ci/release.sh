# Sourced by the stages that run the packages optimised.
# Sets `root` and `examples`, how they are built: with MPI, so that one build serves all of these
# stages. The stage build shows that none is needed. Both share a folder, so that the library is
# compiled once; it is not that of builds for debugging, as SwiftPM locks a folder while tests run
# from it, and other stages run at the same time.

root=(-c release --scratch-path .build/optimised --traits default,MPI)
examples=("${root[@]}" --package-path Examples)

# Builds the examples as for their tests, without which all would be compiled anew with other flags,
# and prints the folder of the commands.
build_examples() {
    swift test list "${examples[@]}" >/dev/null
    swift build "${examples[@]}" --show-bin-path
}
