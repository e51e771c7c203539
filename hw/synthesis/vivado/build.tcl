# From the RTL of the engine to the bitstream of a board.
#
#     vivado -mode batch -source build.tcl [-tclargs [hls] [jobs=N]]
#
# hls: with the IP that `make export` wrote to ../hls, instead of the RTL. jobs: runs in parallel, 4 unless given.
# settings.tcl and board.tcl set the board and the engine. Everything is written to ../bitstream (../bitstream_hls). If
# timing is met, bitstream and metadata are also copied to ../deploy, except those of hls.
# Files of boards that are not installed in Vivado are searched in the folder of the environment variable BOARD_FILES.
# Not yet run with Vivado.

proc fail {sentence} {
    puts stderr "ERROR: narrowgauge: $sentence."
    exit 1
}

# The installed board part, or a newer or older file version of it.
proc find_board_part {board_part} {
    set found [get_board_parts -quiet $board_part]
    if {$found eq ""} {
        set any [string range $board_part 0 [string last : $board_part]]*
        set found [lindex [lsort -dictionary [get_board_parts -quiet $any]] end]
    }
    if {$found eq ""} {
        fail "Vivado has no files of the board $board_part; install them with Tools > Vivado Store > Boards, or set\
            BOARD_FILES to the folder that holds the folder of the board"
    }
    return [lindex $found 0]
}

# The folder of the IP that Vitis HLS exported: by vitis_hls, or by v++ and vitis-run.
proc find_hls_ip {folder} {
    foreach place {project/solution/impl/ip work/hls/impl/ip} {
        if {[file exists [file join $folder $place component.xml]]} {
            return [file join $folder $place]
        }
    }
    fail "$folder has no IP; run make export there"
}

proc finish_run {name} {
    wait_on_run $name
    set run [get_runs $name]
    if {[get_property PROGRESS $run] ne "100%"} {
        fail "$name ended with [get_property STATUS $run]; see [file join [get_property DIRECTORY $run] runme.log]"
    }
}

# Ends with an error that names the worst path if it has no slack.
proc check_timing {kind} {
    set path [get_timing_paths -max_paths 1 -$kind]
    if {$path eq ""} {
        fail "there is no path with a $kind requirement: the clock is missing"
    }
    set slack [get_property SLACK $path]
    if {$slack < 0} {
        fail "timing is not met: $kind slack $slack ns from [get_property STARTPOINT_PIN $path] to\
            [get_property ENDPOINT_PIN $path]; see reports/timing.rpt, and give the board a longer period in its\
            .toml file"
    }
    return $slack
}

set here [file dirname [file normalize [info script]]]
set kind rtl
set jobs 4
foreach argument $argv {
    if {$argument eq "hls"} {
        set kind hls
    } elseif {![regexp {^jobs=([1-9][0-9]*)$} $argument -> jobs]} {
        fail "the arguments are hls and jobs=N, got $argument"
    }
}
foreach name {settings.tcl board.tcl processor.tcl design.tcl} {
    source [file join $here $name]
}
set build [file dirname $here]
set results [file join $build [expr {$kind eq "hls" ? "bitstream_hls" : "bitstream"}]]
set reports [file join $results reports]
set bitstream [file join $results narrowgauge.bit]
set metadata [file join $results narrowgauge.hwh]
set frequency [format %.3f [expr {1000.0 / $period}]]
puts "narrowgauge: Vivado [version -short], $part, $frequency MHz, engine in $kind"
file mkdir $reports
# Those of an earlier run must not be taken for those of this one.
file delete $bitstream $metadata
foreach name {narrowgauge.xsa settings.tcl board.tcl} {
    file delete [file join $results $name]
}

if {[info exists ::env(BOARD_FILES)]} {
    set_param board.repoPaths [list $::env(BOARD_FILES)]
}
create_project -force -part $part narrowgauge [file join $results project]
if {$preset} {
    set_property board_part [find_board_part $board_part] [current_project]
}
set_property target_language Verilog [current_project]
if {$kind eq "hls"} {
    set_property ip_repo_paths [list [find_hls_ip [file join $build hls]]] [current_project]
    update_ip_catalog
} else {
    set sources {}
    foreach name $files {
        lappend sources [file join $here rtl $name]
    }
    add_files -norecurse $sources
    update_compile_order -fileset sources_1
}

# Not narrowgauge: this is the name of the module of the engine.
create_design system $kind $parameters $frequency
make_wrapper -top -import [get_files system.bd]
set_property top system_wrapper [get_filesets sources_1]
update_compile_order -fileset sources_1

set_property strategy Performance_Explore [get_runs impl_1]
launch_runs -jobs $jobs synth_1
finish_run synth_1
launch_runs -jobs $jobs -to_step write_bitstream impl_1
finish_run impl_1

open_run impl_1
report_utilization -file [file join $reports utilization.rpt]
report_utilization -hierarchical -file [file join $reports utilization_hierarchical.rpt]
report_timing_summary -file [file join $reports timing.rpt]
report_drc -file [file join $reports drc.rpt]
report_power -file [file join $reports power.rpt]
set setup [check_timing setup]
set hold [check_timing hold]
set pulse [get_property STATS.TPWS [get_runs impl_1]]
if {$pulse ne "" && $pulse < 0} {
    fail "timing is not met: total pulse width slack $pulse ns; see reports/timing.rpt"
}

set project [file join $results project]
set found ""
# 2020.2 and newer have the folder .gen, older versions wrote to .srcs.
foreach folder {srcs gen} {
    set candidate [file join $project narrowgauge.$folder sources_1 bd system hw_handoff system.hwh]
    if {[file exists $candidate]} {
        set found $candidate
    }
}
if {$found eq ""} {
    fail "Vivado wrote no system.hwh to $project"
}
file copy -force $found $metadata
file copy -force [file join [get_property DIRECTORY [get_runs impl_1]] system_wrapper.bit] $bitstream
write_hw_platform -fixed -include_bit -force [file join $results narrowgauge.xsa]
# `narrowgauge compile` copies the bitstream into a new ../deploy if these are still the same.
foreach name {settings.tcl board.tcl} {
    file copy -force [file join $here $name] $results
}
puts "narrowgauge: timing is met, setup slack $setup ns, hold slack $hold ns"

set deploy [file join $build deploy]
if {$kind eq "hls"} {
    # Its registers have other addresses, which the driver for boards does not know.
    puts "narrowgauge: wrote $bitstream"
} else {
    file mkdir $deploy
    file copy -force $bitstream $metadata $deploy
    puts "narrowgauge: wrote $bitstream, and copied it to $deploy"
}
