# Stand-ins for the commands of vitis_hls that hls/templates/run_hls.tcl uses, with the syntax of UG1399; see
# stand_ins.tcl. Written to MODEL: the sources, the test bench, part, clock and the steps that were executed.

array set sim {}

array set syntax {
    add_files     {{blackbox cflags csimflags} {tb} 1 1}
    cosim_design  {{argv ldflags mflags random_stall rtl tool trace_level user_stall stable_axilite_update}
                   {coverage disable_binary_tv disable_deadlock_detection disable_dependency_check
                    enable_dataflow_profiling enable_fifo_sizing O setup wave_debug} 0 0}
    create_clock  {{period name} {} 0 1}
    csim_design   {{argv ldflags mflags} {clean O setup code_analyzer} 0 0}
    csynth_design {{} {dump_cfg dump_post_cfg synthesis_check} 0 0}
    export_design {{description display_name flow format ipname library output rtl taxonomy vendor version} {} 0 0}
    open_project  {{} {reset upgrade} 1 1}
    open_solution {{flow_target} {reset} 1 1}
    set_part      {{} {} 1 1}
    set_top       {{} {} 1 1}
}

set done {}

proc note {args} {
    lappend ::done [join $args \t]
}

proc do_open_project {options others} {
    note project [lindex $others 0]
}

proc do_set_top {options others} {
    need {[llength $::done] == 1} {set_top needs a project}
    note top [lindex $others 0]
}

proc do_add_files {options others} {
    lassign $others file
    need {[file isfile $file]} {add_files: $file does not exist}
    foreach flag [option $options cflags] {
        if {[string match -I* $flag]} {
            need {[file isdirectory [string range $flag 2 end]]} {add_files: no folder $flag}
        }
    }
    note [expr {[dict exists $options tb] ? "bench" : "source"}] $file [option $options cflags]
}

proc do_open_solution {options others} {
    need {[option $options flow_target vivado] in {vivado vitis}} {flow}
    set ::solution [lindex $others 0]
    note solution $::solution
}

proc do_set_part {options others} {
    need {[info exists ::solution]} {set_part needs a solution}
    note part [lindex $others 0]
}

proc do_create_clock {options others} {
    need {[info exists ::solution] && [option $options period 0] > 0} {create_clock}
    note clock [option $options period]
}

proc run_step {name after} {
    foreach fact {top source part clock} {
        need {[lsearch -glob $::done $fact\t*] >= 0} {$name needs a $fact}
    }
    need {$after eq "" || "step\t$after" in $::done} {$name needs $after}
    note step $name
    set stream [open $::model_file w]
    puts $stream [join $::done \n]
    close $stream
}

proc do_csim_design {options others} {
    run_step csim_design ""
}

proc do_csynth_design {options others} {
    run_step csynth_design ""
}

proc do_cosim_design {options others} {
    run_step cosim_design csynth_design
}

proc do_export_design {options others} {
    need {[option $options format] in {ip_catalog xo syn_dcp sysgen}} {format}
    run_step export_design csynth_design
}
