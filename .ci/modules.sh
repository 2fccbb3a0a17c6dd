# Sourced by the stages that read the modules of a debug build.
# Sets `modules`, the flags with which a compiler finds the package's modules.

swift build
build=$(swift build --show-bin-path)
modules=(-I "$build/Modules" -Xcc -fmodule-map-file=Sources/CWuerstchenPNG/module.modulemap)
for map in "$build"/CWuerstchen*.build/module.modulemap; do
    modules+=(-Xcc "-fmodule-map-file=$map")
done
