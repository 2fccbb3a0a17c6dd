# Sourced by the stages that run the packages optimised.
# Sets `root` and `examples`, how they are built: the examples with MPI, so that one build serves all
# of these stages. The stage build shows that none is needed. Both have folders of their own, as
# SwiftPM locks a folder while tests run from it, and other stages run at the same time.

root=(-c release --scratch-path .build/optimised/root)
examples=(-c release --package-path Examples --scratch-path .build/optimised/examples --traits MPI)
