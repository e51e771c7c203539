# Runs a script for a vendor's tool in this interpreter, with stand-ins for the tool's commands.
#
#     tclsh stand_ins.tcl TOOL SETTINGS MODEL SCRIPT [ARGUMENTS ...]
#
# TOOL.tcl defines the commands: the array `syntax` and a procedure do_COMMAND for each. SETTINGS is a Tcl list of names
# and values that replace those of its array `sim`. MODEL is a file for what the tool would hold in memory at the end.

lassign $argv tool settings model_file script

# Calls do_COMMAND with a dict of the options and the list of the other arguments.
proc call {command arguments} {
    lassign $::syntax($command) valued flags least most
    set options {}
    set others {}
    set index 0
    while {$index < [llength $arguments]} {
        set word [lindex $arguments $index]
        set name [string range $word 1 end]
        if {![regexp {^-[a-z_]+$} $word]} {
            lappend others $word
        } elseif {$name in $valued} {
            if {$index + 1 >= [llength $arguments]} {
                error "$command: $word needs an argument"
            }
            incr index
            dict set options $name [lindex $arguments $index]
            lappend ::repeated($name) [lindex $arguments $index]
        } elseif {$name in $flags || $name in {quiet verbose}} {
            dict set options $name 1
        } else {
            error "$command has no option $word"
        }
        incr index
    }
    set count [llength $others]
    if {$count < $least || ($most >= 0 && $count > $most)} {
        error "$command takes $least to $most arguments next to its options, got $count: $others"
    }
    if {[dict exists $options quiet] && [catch {do_$command $options $others} result]} {
        return ""
    } elseif {![dict exists $options quiet]} {
        set result [do_$command $options $others]
    }
    return $result
}

proc option {options name {default ""}} {
    return [expr {[dict exists $options $name] ? [dict get $options $name] : $default}]
}

proc need {condition message} {
    if {![uplevel 1 [list expr $condition]]} {
        error [uplevel 1 [list subst $message]]
    }
}

source [file join [file dirname [info script]] $tool.tcl]
array set sim $settings

# The script has an interpreter, and so variables, of its own.
interp create tool
foreach command [array names syntax] {
    proc $command {args} "call $command \$args"
    interp alias tool $command {} $command
}
interp eval tool [list set argv [lrange $argv 4 end]]
interp eval tool [list set argc [llength [lrange $argv 4 end]]]
if {[catch {interp eval tool [list source $script]} message]} {
    puts stderr $errorInfo
    exit 1
}
