# Sourced by the stages that run the examples optimised.
# Sets `examples`, how they are built: with MPI, so that one build serves all of these stages. The
# stage build shows that none is needed.

examples=(-c release --package-path Examples --traits MPI)
