# For vitis_hls, the predecessor of vitis-run: vitis_hls -f run_hls.tcl -tclargs [csim|synth|cosim|export]
# Not yet run with the vendor's tools.
set step [expr {$argc > 0 ? [lindex $argv end] : "synth"}]
open_project -reset project
set_top engine
add_files src/engine.cpp -cflags "-std=c++17 -Isrc"
add_files -tb src/tb_engine.cpp -cflags "-std=c++17 -Isrc"
add_files -tb vectors/program.bin
add_files -tb vectors/weights.bin
add_files -tb vectors/runs.bin
open_solution -reset solution -flow_target vivado
set_part {@{part}}
create_clock -period @{clock}
if {$step eq "csim"} {
    csim_design
} else {
    csynth_design
    if {$step eq "cosim"} { cosim_design }
    if {$step eq "export"} { export_design -format ip_catalog }
}
exit
