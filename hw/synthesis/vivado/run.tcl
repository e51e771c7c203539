# Synthesizes the engine out of context with Vivado, places and routes it, and reports utilization and timing.
#
#     vivado -mode batch -source run.tcl
#
# settings.tcl sets part, parameters and files. Reports and checkpoints are written to the folder results next to it.

set here [file dirname [file normalize [info script]]]
source [file join $here settings.tcl]
set results [file join $here results]
file mkdir $results

foreach name $files {
    set path [file join $here rtl $name]
    if {[file extension $name] eq ".sv"} {
        read_verilog -sv $path
    } else {
        read_verilog $path
    }
}
read_xdc -mode out_of_context [file join $here clock.xdc]

set generics {}
foreach {name value} $parameters {
    lappend generics -generic $name=$value
}
# rebuilt: optimization crosses module boundaries, but the reports keep the hierarchy.
synth_design -top $top -part $part -mode out_of_context -flatten_hierarchy rebuilt {*}$generics
write_checkpoint -force [file join $results synth.dcp]
report_utilization -hierarchical -file [file join $results synth_utilization.rpt]
report_timing_summary -file [file join $results synth_timing.rpt]

opt_design
place_design
phys_opt_design
route_design
write_checkpoint -force [file join $results route.dcp]
report_utilization -file [file join $results utilization.rpt]
report_utilization -hierarchical -file [file join $results utilization_hierarchical.rpt]
report_timing_summary -file [file join $results timing.rpt]
report_drc -file [file join $results drc.rpt]

set slack [get_property SLACK [get_timing_paths -max_paths 1 -setup]]
puts "narrowgauge: part $part, period $period ns, worst setup slack $slack ns; reports are in $results"
