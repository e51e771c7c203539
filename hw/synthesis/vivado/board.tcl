# @{title}: the processing system and its ports, for build.tcl.
set board_part {@{board_part}}
# Whether the board part holds the settings of memory and clocks.
set preset @{preset}
set memory_port @{memory_port}
set register_port @{register_port}
# Further parameters of the processing system.
set processor_settings {
@{settings}
}
