# Stand-ins for the commands of Vivado that the scripts in hw/synthesis/vivado use, with a model of the block design;
# see stand_ins.tcl.
#
# The block design that validate_bd_design has accepted is written to MODEL, one fact per line, words separated by tabs.
#
# Every command checks its options and the number of its other arguments against the syntax in UG835. Objects are
# modelled as far as the scripts need them: cells have the pins and interfaces of PG021, PG059, PG082, PG164, PG201 and
# PG247 that their parameters enable, and those of the RTL module are read from its X_INTERFACE attributes (UG994).
# A parameter that an IP does not have, a connection of two outputs, of unlike interfaces, or of a pin that does not
# exist is an error, as in Vivado.
# Limits: no synthesis, no parameter propagation; only the parameters that the scripts may set are known.

# version: of Vivado. installed: board parts. setup, hold, pulse: slack in ns. fails: a run that ends early. paths: whether
# there are timing paths.
array set sim {version 2022.1 installed {} setup 0.1 hold 0.02 pulse 0 fails "" paths 1 repository ""}

# What UG835 documents: options with an argument, options without one, least and most other arguments (-1: any number).
# All have -quiet and -verbose.
array set syntax {
    add_files            {{fileset of_objects scan_for_includes} {norecurse copy_to} 0 -1}
    apply_bd_automation  {{rule config dict opts} {} 1 -1}
    assign_bd_address    {{target_address_space dict import_from_file export_to_file export_gui_to_file offset range
                           base_high} {boundary master_boundary external force} 0 -1}
    connect_bd_intf_net  {{intf_net boundary_type} {} 2 3}
    connect_bd_net       {{net boundary_type} {} 1 -1}
    create_bd_cell       {{vlnv type reference revision} {} 1 1}
    create_bd_design     {{dir cell} {} 1 1}
    create_clock         {{period name waveform} {add} 0 -1}
    create_project       {{part} {force in_memory ip rtl_kernel} 0 2}
    current_project      {{} {} 0 1}
    get_bd_addr_segs     {{filter of_objects} {regexp hierarchical excluded addressed unaddressed} 0 1}
    get_bd_addr_spaces   {{filter of_objects} {regexp hierarchical} 0 1}
    get_bd_cells         {{filter of_objects} {regexp hierarchical} 0 1}
    get_bd_intf_pins     {{filter of_objects} {regexp hierarchical} 0 1}
    get_bd_pins          {{filter of_objects} {regexp hierarchical} 0 1}
    get_board_parts      {{filter} {regexp nocase latest_file_version latest_hw_revision} 0 -1}
    get_files            {{filter of_objects compile_order used_in} {regexp nocase all references} 0 -1}
    get_filesets         {{filter of_objects} {regexp nocase} 0 -1}
    get_ipdefs           {{filter of_objects} {name regexp nocase all} 0 -1}
    get_ports            {{filter of_objects match_style scoped_to_current_instance} {regexp nocase
                           prop_thru_buffers} 0 1}
    get_property         {{} {min max} 2 2}
    get_runs             {{filter of_objects} {regexp nocase} 0 -1}
    get_timing_paths     {{from rise_from fall_from to rise_to fall_to through rise_through fall_through delay_type
                           max_paths nworst slack_lesser_than slack_greater_than group inter_slr sort_by filter cell}
                          {setup hold unique_pins no_report_unconstrained user_ignored routable_nets regexp nocase} 0 0}
    launch_runs          {{jobs lsf sge cluster_configuration dir to_step host remote_cmd email_to pre_launch_script
                           post_launch_script custom_script} {scripts_only next_step email_all force} 1 -1}
    make_wrapper         {{fileset} {top testbench inst_template import force} 1 1}
    open_run             {{name pr_config} {} 1 1}
    opt_design           {{directive} {retarget propconst sweep bram_power_opt remap aggressive_remap resynth_area
                           resynth_seq_area muxf_remap hier_fanout_limit bufg_opt shift_register_opt debug_log} 0 0}
    phys_opt_design      {{directive} {fanout_opt placement_opt routing_opt slr_crossing_opt rewire
                           critical_cell_opt dsp_register_opt bram_register_opt uram_register_opt bram_enable_opt
                           shift_register_opt hold_fix aggressive_hold_fix retime critical_pin_opt} 0 0}
    place_design         {{directive} {no_timing_driven timing_summary unplace post_place_opt no_psip ultrathreads
                           no_bufg_opt} 0 0}
    read_verilog         {{library} {sv} 1 -1}
    read_xdc             {{cells ref mode} {quiet_diff unmanaged no_add} 1 -1}
    report_drc           {{name upgrade_cw checks ruledecks file rpx} {append waived no_waivers return_string} 0 0}
    report_power         {{hier hierarchical_depth limit vid verbose file name format xpe l rpx} {append advisory
                           return_string no_propagation} 0 0}
    report_timing_summary {{delay_type setup hold max_paths nworst path_type significant_digits name file rpx cells
                           slack_lesser_than} {no_detailed_paths check_timing_verbose no_header unique_pins
                           report_unconstrained input_pins append routable_nets datasheet warn_on_violation
                           return_string} 0 0}
    report_utilization   {{file pblocks evaluate_pblock slr cells exclude_child_pblocks name spreadsheet_file
                           spreadsheet_table spreadsheet_depth hierarchical_depth format} {append hierarchical
                           hierarchical_percentages packthru return_string} 0 0}
    route_design         {{directive max_delay min_delay} {unroute release_memory nets physical_nets pins
                           tns_cleanup no_timing_driven preserve delay auto_delay timing_summary finalize
                           ultrathreads eco} 0 0}
    save_bd_design       {{} {} 0 1}
    set_param            {{} {} 2 2}
    set_property         {{dict} {} 1 3}
    synth_design         {{name part constrset top include_dirs generic verilog_define flatten_hierarchy
                           gated_clock_conversion directive bufg shreg_min_size mode fsm_extraction srl_style
                           resource_sharing cascade_dsp control_set_opt_threshold max_bram max_uram max_dsp
                           max_bram_cascade_height max_uram_cascade_height}
                          {rtl no_lc rtl_skip_mlo rtl_skip_ip rtl_skip_constraints keep_equivalent_registers
                           no_srlextract assert no_timing_driven sfcu debug_log} 0 0}
    update_compile_order {{fileset} {force_gui} 0 0}
    update_ip_catalog    {{delete_ip add_ip disable_ip enable_ip repo_path update_module_ref scan_changes} {rebuild} 0 0}
    validate_bd_design   {{design steps} {force include_pfm} 0 0}
    version              {{} {short} 0 0}
    wait_on_run          {{timeout} {} 1 -1}
    write_checkpoint     {{cell key} {force logic_function_stripped encrypt} 0 1}
    write_hw_platform    {{rp rm} {fixed force include_bit include_sim_content minimal hw hw_emu static} 0 1}
}

# Filters of objects: PROPERTY ==, !=, =~ or !~ value, joined by &&.
proc matches {object filter} {
    foreach part [split [string map {&& \x01} $filter] \x01] {
        need {[regexp {^\s*([A-Z_.a-z0-9]+)\s*(==|!=|=~|!~)\s*"?([^"]*?)"?\s*$} $part -> name operator value]} \
            {filter $filter}
        set has [call get_property [list $name $object]]
        set good [string match $value $has]
        if {$operator in {== !=}} {
            set good [expr {$value eq $has}]
        }
        if {$operator in {!= !~}} {
            set good [expr {!$good}]
        }
        if {!$good} {
            return 0
        }
    }
    return 1
}

proc filtered {objects options} {
    set filter [option $options filter]
    if {$filter eq ""} {
        return $objects
    }
    set found {}
    foreach object $objects {
        if {[matches $object $filter]} {
            lappend found $object
        }
    }
    return $found
}

# Project.

array set project {open 0 parts {} files {} top "" wrapper 0 catalog {} design "" validated 0 saved 0}
array set property {}

proc do_version {options others} {
    need {[option $options short 0]} {only version -short}
    return $::sim(version)
}

proc do_set_param {options others} {
    lassign $others name value
    need {$name eq "board.repoPaths"} {parameter $name}
    need {!$::project(open)} {board.repoPaths is read when a project is created}
    set ::sim(repository) $value
}

proc do_create_project {options others} {
    lassign $others name folder
    need {[option $options part] ne ""} {no part}
    set ::project(open) 1
    set ::project(name) $name
    set ::project(folder) $folder
    set ::property(project,PART) [option $options part]
    if {[file exists $folder]} {
        need {[dict exists $options force]} {$folder exists}
        file delete -force $folder
    }
    file mkdir $folder
}

proc do_current_project {options others} {
    need {$::project(open)} {no project is open}
    return project
}

proc do_get_board_parts {options others} {
    set found {}
    foreach part $::sim(installed) {
        foreach pattern $others {
            if {[string match $pattern $part]} {
                lappend found $part
            }
        }
    }
    return [lsort $found]
}

proc do_add_files {options others} {
    need {$::project(open)} {no project is open}
    foreach file [lindex $others 0] {
        need {[file isfile $file]} {add_files: $file does not exist}
        lappend ::project(files) $file
    }
}

proc do_update_compile_order {options others} {
    need {[option $options fileset] eq "sources_1"} {fileset}
}

proc do_get_filesets {options others} {
    need {$others eq "sources_1"} {fileset $others}
    return sources_1
}

proc do_get_files {options others} {
    need {$others eq "$::project(design).bd" && $::project(saved)} {file $others}
    return $others
}

# The catalog by version: VLNV and whether it is hidden.
proc catalog_of {version} {
    set known {
        2020.1 {processing_system7:5.5 0 zynq_ultra_ps_e:3.3 0 axi_dma:7.1 0 smartconnect:1.0 0 axi_interconnect:2.1 0
                proc_sys_reset:5.0 0}
        2022.1 {processing_system7:5.5 0 zynq_ultra_ps_e:3.4 0 axi_dma:7.1 0 smartconnect:1.0 0 axi_interconnect:2.1 0
                proc_sys_reset:5.0 0}
        2025.2 {processing_system7:5.9 0 processing_system7:5.10 0 zynq_ultra_ps_e:3.9 0 zynq_ultra_ps_e:3.10 0
                axi_dma:7.0 0 axi_dma:7.1 0 axi_dma:8.0 0 smartconnect:1.1 0 axi_interconnect:2.1 1
                proc_sys_reset:5.1 0}
    }
    set found {}
    foreach {name hidden} [dict get $known $version] {
        lappend found xilinx.com:ip:$name $hidden
    }
    return $found
}

proc do_get_ipdefs {options others} {
    set found {}
    foreach {vlnv hidden} [concat [catalog_of $::sim(version)] $::project(catalog)] {
        if {[string match [lindex $others 0] $vlnv] && (!$hidden || [dict exists $options all])} {
            lappend found "ipdef $vlnv"
        }
    }
    need {$found ne ""} {no IP matches $others}
    return $found
}

proc do_update_ip_catalog {options others} {
    foreach folder $::property(project,ip_repo_paths) {
        need {[file isfile [file join $folder component.xml]]} {$folder is no IP repository}
        lappend ::project(catalog) xilinx.com:hls:engine:1.0 0
    }
}

# Properties.

proc do_set_property {options others} {
    if {[dict exists $options dict]} {
        need {[llength $others] == 1} {set_property -dict takes objects alone, got $others}
        set pairs [dict get $options dict]
        set objects [lindex $others 0]
    } else {
        need {[llength $others] == 3} {set_property takes a name, a value and objects, got $others}
        set pairs [lrange $others 0 1]
        set objects [lindex $others 2]
    }
    need {$pairs ne "" && [llength $pairs] % 2 == 0} {pairs of names and values, got $pairs}
    need {[llength $objects] == 1} {set_property needs an object, got {$objects}}
    foreach {name value} $pairs {
        set_one $name $value $objects
    }
}

proc set_one {name value object} {
    if {[string match CONFIG.* $name]} {
        need {[info exists ::cell($object)]} {no cell $object}
        set key [known_parameter $object [string range $name 7 end]]
        set ::config($object,$key) $value
        set ::project(validated) 0
        return
    }
    switch -glob -- $object {
        project {
            need {$name in {board_part target_language ip_repo_paths}} {property $name}
            if {$name eq "board_part"} {
                need {$value in $::sim(installed)} {board part $value is not installed}
            }
        }
        sources_1 {
            need {$name eq "top" && $::project(wrapper) && $value eq "$::project(design)_wrapper"} {top $value}
            set ::project(top) $value
        }
        synth_1 - impl_1 {
            need {$name eq "strategy" && $value in {Performance_Explore {Vivado Implementation Defaults}}} {$name $value}
        }
        default {
            error "property $name of $object"
        }
    }
    set ::property($object,$name) $value
}

proc do_get_property {options others} {
    lassign $others name object
    if {[lindex $object 0 0] eq "ipdef"} {
        # Of several objects, a list.
        set values [lmap one $object {expr {$name eq "VLNV" ? [lindex $one 1] : [error "property $name"]}}]
        return [expr {[llength $values] == 1 ? [lindex $values 0] : $values}]
    } elseif {[lindex $object 0] eq "ipdef"} {
        return [lindex $object 1]
    }
    need {[llength $object] == 1} {get_property needs one object, got {$object}}
    if {[info exists ::property($object,$name)]} {
        return $::property($object,$name)
    }
    if {[regexp {^/[^/]+/[^/]+$} $object]} {
        return [pin_property $object $name]
    }
    error "property $name of $object"
}

proc pin_property {object name} {
    regexp {^/([^/]+)/(.+)$} $object -> cell short
    set cell /$cell
    foreach {pin direction type} [pins_of $cell] {
        if {$pin eq $short} {
            switch $name {
                NAME {return $pin}
                DIR {return $direction}
                TYPE {return $type}
                CONFIG.FREQ_HZ {
                    need {$type eq "clk" && $::project(validated)} {no frequency of $object}
                    return 99999001
                }
            }
        }
    }
    foreach {pin mode vlnv} [interfaces_of $cell] {
        if {$pin eq $short} {
            switch $name {
                NAME {return $pin}
                MODE {return $mode}
                VLNV {return $vlnv}
            }
        }
    }
    error "property $name of $object"
}

# Block design.

array set cell {}
array set config {}
array set net_of {}
array set peer_of {}
array set external {}

proc do_create_bd_design {options others} {
    need {$::project(open)} {no project is open}
    foreach file $::project(files) {
        need {[file rootname [file tail $file]] ne $others} {the module $others exists: $file}
    }
    set ::project(design) $others
}

proc do_create_bd_cell {options others} {
    need {$::project(design) ne ""} {no block design is open}
    set name /$others
    need {![info exists ::cell($name)]} {cell $others exists}
    switch [option $options type ip] {
        ip {
            set vlnv [option $options vlnv]
            need {$vlnv in [concat [catalog_of $::sim(version)] $::project(catalog)]} {no IP $vlnv in the catalog}
            need {[llength [split $vlnv :]] == 4} {VLNV $vlnv}
        }
        module {
            set reference [option $options reference]
            set file [lsearch -inline $::project(files) */$reference.v]
            need {$file ne ""} {no Verilog file of the module $reference in the project}
            read_module $reference $file
            set vlnv xilinx.com:module_ref:$reference:1.0
        }
        default {
            error "type"
        }
    }
    set ::cell($name) $vlnv
    return $name
}

proc do_get_bd_cells {options others} {
    set found {}
    foreach name [lsort [array names ::cell]] {
        if {[string match [string trimleft [lindex $others 0] /] [string range $name 1 end]]} {
            lappend found $name
        }
    }
    return [filtered $found $options]
}

# Ports, parameters and interfaces of an RTL module, from its attributes (UG994, "Using X_INTERFACE_INFO").
proc read_module {name file} {
    set stream [open $file]
    set text [read $stream]
    close $stream
    need {[regexp "\\mmodule\\s+$name\\M" $text]} {no module $name in $file}
    set ::module(parameters) {}
    foreach {- parameter default} [regexp -all -inline {parameter\s+integer\s+(\w+)\s*=\s*(\d+)} $text] {
        lappend ::module(parameters) $parameter $default
    }
    set ::module(pins) {}
    array unset modes
    set pattern {\(\*\s*X_INTERFACE_INFO\s*=\s*"(\S+) (\S+) (\S+)"\s*\*\)\s*(?:\(\*[^*]*\*\)\s*)?(input|output)\s+wire\s*(?:\[[^]]*\])?\s*(\w+)}
    foreach {- vlnv interface signal direction port} [regexp -all -inline $pattern $text] {
        switch -glob $vlnv {
            xilinx.com:signal:clock:1.0 {set type clk}
            xilinx.com:signal:reset:1.0 {set type rst}
            xilinx.com:signal:interrupt:1.0 {set type intr}
            default {set type interface}
        }
        if {$type ne "interface"} {
            lappend ::module(pins) $port [expr {$direction eq "input" ? "I" : "O"}] $type
        } elseif {$signal in {AWADDR TDATA}} {
            set modes($interface) [list [expr {$direction eq "input" ? "Slave" : "Master"}] \
                [string map {:1.0 _rtl:1.0} $vlnv]]
        }
    }
    set ::module(interfaces) {}
    foreach {interface values} [array get modes] {
        lappend ::module(interfaces) $interface {*}$values
    }
    # No port may lack an attribute: it would stay unconnected.
    set ports [regexp -all {\n\s*(input|output)\s+wire} $text]
    set known [regexp -all {X_INTERFACE_INFO} $text]
    need {$ports == $known} {$ports ports, $known with X_INTERFACE_INFO}
}

# The parameters of an IP that the scripts may set, with their defaults.
proc parameters_of {vlnv} {
    switch -glob $vlnv {
        xilinx.com:ip:processing_system7:* {
            return {PCW_EN_CLK0_PORT 0 PCW_EN_RST0_PORT 0 PCW_FPGA0_PERIPHERAL_FREQMHZ 50 PCW_USE_FABRIC_INTERRUPT 0
                PCW_IRQ_F2P_INTR 0 PCW_USE_M_AXI_GP0 1 PCW_USE_M_AXI_GP1 0 PCW_USE_S_AXI_HP0 0 PCW_USE_S_AXI_HP1 0
                PCW_USE_S_AXI_HP2 0 PCW_USE_S_AXI_HP3 0 PCW_UIPARAM_DDR_BUS_WIDTH {32 Bit}
                PCW_UIPARAM_DDR_PARTNO {MT41J256M8 HX-15E}}
        }
        xilinx.com:ip:zynq_ultra_ps_e:* {
            return {PSU__FPGA_PL0_ENABLE 0 PSU__USE__FABRIC__RST 0 PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ 100
                PSU__USE__IRQ0 0 PSU__USE__M_AXI_GP0 0 PSU__USE__M_AXI_GP1 0 PSU__USE__M_AXI_GP2 1
                PSU__MAXIGP0__DATA_WIDTH 128 PSU__MAXIGP1__DATA_WIDTH 128 PSU__USE__S_AXI_GP2 0 PSU__USE__S_AXI_GP3 0
                PSU__USE__S_AXI_GP4 0 PSU__USE__S_AXI_GP5 0 PSU__SAXIGP2__DATA_WIDTH 128 PSU__SAXIGP3__DATA_WIDTH 128
                PSU__SAXIGP4__DATA_WIDTH 128 PSU__SAXIGP5__DATA_WIDTH 128 PSU__DDRC__BUS_WIDTH {64 Bit}}
        }
        xilinx.com:ip:axi_dma:* {
            return {c_include_sg 1 c_sg_include_stscntrl_strm 1 c_sg_length_width 14 c_addr_width 32 c_include_mm2s 1
                c_include_mm2s_dre 0 c_m_axi_mm2s_data_width 32 c_m_axis_mm2s_tdata_width 32 c_mm2s_burst_size 16
                c_include_s2mm 1 c_include_s2mm_dre 0 c_m_axi_s2mm_data_width 32 c_s2mm_burst_size 16 c_micro_dma 0}
        }
        xilinx.com:ip:smartconnect:* {return {NUM_SI 1 NUM_MI 1 NUM_CLKS 1}}
        xilinx.com:ip:axi_interconnect:* {return {NUM_SI 1 NUM_MI 2}}
        xilinx.com:ip:proc_sys_reset:* {return {C_EXT_RST_WIDTH 4}}
        xilinx.com:hls:engine:* {return {}}
        xilinx.com:module_ref:* {return $::module(parameters)}
    }
    error "IP $vlnv"
}

# Names of parameters of an IP ignore case; those of an RTL module are as written there.
proc known_parameter {cell name} {
    foreach {parameter -} [parameters_of $::cell($cell)] {
        if {$parameter eq $name || ([string match xilinx.com:ip:* $::cell($cell)] &&
                                    [string equal -nocase $parameter $name])} {
            return $parameter
        }
    }
    error "$::cell($cell) has no parameter $name"
}

proc value {cell name} {
    if {[info exists ::config($cell,$name)]} {
        return $::config($cell,$name)
    }
    return [dict get [parameters_of $::cell($cell)] $name]
}

# Names, directions and types of the pins of a cell that belong to no interface.
proc pins_of {cell} {
    set pins {}
    switch -glob $::cell($cell) {
        xilinx.com:ip:processing_system7:* {
            foreach {name direction type enable} {
                FCLK_CLK0 O clk PCW_EN_CLK0_PORT FCLK_RESET0_N O rst PCW_EN_RST0_PORT
                M_AXI_GP0_ACLK I clk PCW_USE_M_AXI_GP0 M_AXI_GP1_ACLK I clk PCW_USE_M_AXI_GP1
                S_AXI_HP0_ACLK I clk PCW_USE_S_AXI_HP0 S_AXI_HP1_ACLK I clk PCW_USE_S_AXI_HP1
                S_AXI_HP2_ACLK I clk PCW_USE_S_AXI_HP2 S_AXI_HP3_ACLK I clk PCW_USE_S_AXI_HP3
            } {
                if {[value $cell $enable]} {
                    lappend pins $name $direction $type
                }
            }
            if {[value $cell PCW_USE_FABRIC_INTERRUPT] && [value $cell PCW_IRQ_F2P_INTR]} {
                lappend pins IRQ_F2P I intr
            }
        }
        xilinx.com:ip:zynq_ultra_ps_e:* {
            foreach {name direction type enable} {
                pl_clk0 O clk PSU__FPGA_PL0_ENABLE pl_resetn0 O rst PSU__USE__FABRIC__RST
                maxihpm0_fpd_aclk I clk PSU__USE__M_AXI_GP0 maxihpm1_fpd_aclk I clk PSU__USE__M_AXI_GP1
                maxihpm0_lpd_aclk I clk PSU__USE__M_AXI_GP2 saxihp0_fpd_aclk I clk PSU__USE__S_AXI_GP2
                saxihp1_fpd_aclk I clk PSU__USE__S_AXI_GP3 saxihp2_fpd_aclk I clk PSU__USE__S_AXI_GP4
                saxihp3_fpd_aclk I clk PSU__USE__S_AXI_GP5 pl_ps_irq0 I intr PSU__USE__IRQ0
            } {
                if {[value $cell $enable]} {
                    lappend pins $name $direction $type
                }
            }
        }
        xilinx.com:ip:axi_dma:* {
            set pins {s_axi_lite_aclk I clk m_axi_mm2s_aclk I clk m_axi_s2mm_aclk I clk axi_resetn I rst
                mm2s_introut O intr s2mm_introut O intr mm2s_prmry_reset_out_n O rst s2mm_prmry_reset_out_n O rst}
            if {[value $cell c_include_sg]} {
                lappend pins m_axi_sg_aclk I clk
            }
        }
        xilinx.com:ip:smartconnect:* {set pins {aclk I clk aresetn I rst}}
        xilinx.com:ip:axi_interconnect:* {
            set pins {ACLK I clk ARESETN I rst}
            foreach {letter count} [list S [value $cell NUM_SI] M [value $cell NUM_MI]] {
                for {set n 0} {$n < $count} {incr n} {
                    lappend pins [format %s%02d_ACLK $letter $n] I clk [format %s%02d_ARESETN $letter $n] I rst
                }
            }
        }
        xilinx.com:ip:proc_sys_reset:* {
            set pins {slowest_sync_clk I clk ext_reset_in I rst aux_reset_in I rst mb_debug_sys_rst I rst
                dcm_locked I undef mb_reset O rst bus_struct_reset O rst peripheral_reset O rst
                interconnect_aresetn O rst peripheral_aresetn O rst}
        }
        xilinx.com:hls:engine:* {set pins {ap_clk I clk ap_rst_n I rst interrupt O intr}}
        xilinx.com:module_ref:* {set pins $::module(pins)}
    }
    return $pins
}

# Names, modes and VLNV of the interfaces of a cell.
proc interfaces_of {cell} {
    set mm xilinx.com:interface:aximm_rtl:1.0
    set stream xilinx.com:interface:axis_rtl:1.0
    set found {}
    switch -glob $::cell($cell) {
        xilinx.com:ip:processing_system7:* {
            foreach port {M_AXI_GP0 M_AXI_GP1 S_AXI_HP0 S_AXI_HP1 S_AXI_HP2 S_AXI_HP3} {
                if {[value $cell PCW_USE_$port]} {
                    lappend found $port [expr {[string index $port 0] eq "M" ? "Master" : "Slave"}] $mm
                }
            }
            lappend found DDR Master xilinx.com:interface:ddrx_rtl:1.0 \
                FIXED_IO Master xilinx.com:display_processing_system7:fixedio_rtl:1.0
        }
        xilinx.com:ip:zynq_ultra_ps_e:* {
            foreach {port enable} {M_AXI_HPM0_FPD M_AXI_GP0 M_AXI_HPM1_FPD M_AXI_GP1 M_AXI_HPM0_LPD M_AXI_GP2
                    S_AXI_HP0_FPD S_AXI_GP2 S_AXI_HP1_FPD S_AXI_GP3 S_AXI_HP2_FPD S_AXI_GP4 S_AXI_HP3_FPD S_AXI_GP5} {
                if {[value $cell PSU__USE__$enable]} {
                    lappend found $port [expr {[string index $port 0] eq "M" ? "Master" : "Slave"}] $mm
                }
            }
        }
        xilinx.com:ip:axi_dma:* {
            lappend found S_AXI_LITE Slave $mm
            if {[value $cell c_include_mm2s]} {
                lappend found M_AXI_MM2S Master $mm M_AXIS_MM2S Master $stream
            }
            if {[value $cell c_include_s2mm]} {
                lappend found M_AXI_S2MM Master $mm S_AXIS_S2MM Slave $stream
            }
            if {[value $cell c_include_sg]} {
                lappend found M_AXI_SG Master $mm
            }
            if {[value $cell c_include_sg] && [value $cell c_sg_include_stscntrl_strm]} {
                lappend found M_AXIS_CNTRL Master $stream S_AXIS_STS Slave $stream
            }
        }
        xilinx.com:ip:smartconnect:* - xilinx.com:ip:axi_interconnect:* {
            foreach {letter count mode} [list S [value $cell NUM_SI] Slave M [value $cell NUM_MI] Master] {
                for {set n 0} {$n < $count} {incr n} {
                    lappend found [format %s%02d_AXI $letter $n] $mode $mm
                }
            }
        }
        xilinx.com:hls:engine:* {
            set found [list s_axi_control Slave $mm in_r Slave $stream out_r Master $stream]
        }
        xilinx.com:module_ref:* {set found $::module(interfaces)}
    }
    return $found
}

proc objects_of {kind options others} {
    set cells [option $options of_objects [lsort [array names ::cell]]]
    set found {}
    foreach cell $cells {
        need {[info exists ::cell($cell)]} {no cell $cell}
        foreach {name - -} [${kind}_of $cell] {
            set path $cell/$name
            if {$others eq "" || [string match [lindex $others 0] [string range $path 1 end]] || $path eq $others} {
                lappend found $path
            }
        }
    }
    return [filtered $found $options]
}

proc do_get_bd_pins {options others} {
    return [objects_of pins $options $others]
}

proc do_get_bd_intf_pins {options others} {
    return [objects_of interfaces $options $others]
}

proc do_apply_bd_automation {options others} {
    set rule [option $options rule]
    set cell [lindex $others 0]
    need {[info exists ::cell($cell)]} {no cell $cell}
    set name [lindex [split $rule :] end]
    need {$rule eq "xilinx.com:bd_rule:$name" && [string match xilinx.com:ip:$name:* $::cell($cell)]} \
        {rule $rule for $::cell($cell)}
    set known {processing_system7 {make_external apply_board_preset Master Slave} zynq_ultra_ps_e apply_board_preset}
    set values [option $options config]
    foreach key [dict keys $values] {
        need {$key in [dict get $known $name]} {$rule has no $key}
    }
    set ::config($cell,preset) [dict get $values apply_board_preset]
    if {$::config($cell,preset)} {
        need {[info exists ::property(project,board_part)]} {a preset needs a board part}
        # What presets enable differs; the scripts must not depend on it.
        if {$name eq "zynq_ultra_ps_e"} {
            set ::config($cell,PSU__USE__M_AXI_GP0) [expr {![string match *aup-zu3* $::property(project,board_part)]}]
            set ::config($cell,PSU__USE__M_AXI_GP1) 1
        } else {
            set ::config($cell,PCW_USE_M_AXI_GP0) 1
        }
    }
    if {[option $values make_external] eq "FIXED_IO, DDR"} {
        set ::external($cell/FIXED_IO) 1
        set ::external($cell/DDR) 1
    }
}

proc do_connect_bd_net {options others} {
    # Pins one by one or as a list.
    set pins [concat {*}$others]
    need {[llength $pins] >= 2} {connect_bd_net needs two pins, got {$others}}
    set net ""
    foreach pin $pins {
        need {$pin in [objects_of pins {} {}]} {no pin $pin}
        if {[info exists ::net_of($pin)]} {
            need {$net eq "" || $net eq $::net_of($pin)} {$pin is in another net}
            set net $::net_of($pin)
        }
    }
    if {$net eq ""} {
        set net [lindex $pins 0]
    }
    foreach pin $pins {
        set ::net_of($pin) $net
    }
    set drivers {}
    foreach {pin other} [array get ::net_of] {
        if {$other eq $net && [pin_property $pin DIR] eq "O"} {
            lappend drivers $pin
        }
    }
    need {[llength $drivers] == 1} {net $net needs one driver, has {$drivers}}
    set type [pin_property $drivers TYPE]
    foreach pin $pins {
        need {[pin_property $pin TYPE] eq $type} {$pin is no $type}
    }
}

proc do_connect_bd_intf_net {options others} {
    lassign $others one other
    foreach pin [list $one $other] {
        need {[llength $pin] == 1 && $pin in [objects_of interfaces {} {}]} {no interface {$pin}}
        need {![info exists ::peer_of($pin)]} {$pin is connected}
    }
    need {[pin_property $one VLNV] eq [pin_property $other VLNV]} {$one and $other are of unlike kinds}
    need {[lsort [list [pin_property $one MODE] [pin_property $other MODE]]] eq {Master Slave}} {$one and $other: modes}
    set ::peer_of($one) $other
    set ::peer_of($other) $one
}

# The slaves that a master reaches through interconnects.
proc slaves_of {master} {
    need {[info exists ::peer_of($master)]} {$master is not connected}
    set slave $::peer_of($master)
    regexp {^(/[^/]+)/} $slave -> cell
    if {![regexp {:ip:(smartconnect|axi_interconnect):} $::cell($cell)]} {
        return [list $slave]
    }
    set found {}
    foreach {name mode -} [interfaces_of $cell] {
        if {$mode eq "Master"} {
            lappend found {*}[slaves_of $cell/$name]
        }
    }
    return $found
}

array set segments {}

proc do_assign_bd_address {options others} {
    need {$others eq "" && [dict size $options] == 0} {only the automatic assignment of all segments}
    set next [expr {[string match *zynq_ultra* $::cell(/ps)] ? 0xA0000000 : 0x40000000}]
    foreach {pin mode vlnv} [interfaces_of /ps] {
        if {$mode eq "Master" && [string match *aximm* $vlnv] && [info exists ::peer_of(/ps/$pin)]} {
            foreach slave [slaves_of /ps/$pin] {
                set ::segments(/ps/Data$slave) [list $next 65536]
                incr next 65536
            }
        }
    }
    foreach {channel space} {M_AXI_MM2S Data_MM2S M_AXI_S2MM Data_S2MM} {
        foreach slave [slaves_of /dma/$channel] {
            set ::segments(/dma/$space$slave/LOW) {0 2147483648}
            if {[value /dma c_addr_width] > 32} {
                set ::segments(/dma/$space$slave/HIGH) {34359738368 34359738368}
            }
        }
    }
}

proc do_get_bd_addr_spaces {options others} {
    return {/ps/Data /dma/Data_MM2S /dma/Data_S2MM}
}

proc do_get_bd_addr_segs {options others} {
    need {[dict exists $options of_objects]} {segments of spaces}
    set found {}
    foreach name [lsort [array names ::segments]] {
        set ::property($name,OFFSET) [lindex $::segments($name) 0]
        set ::property($name,RANGE) [lindex $::segments($name) 1]
        lappend found $name
    }
    return $found
}

proc do_validate_bd_design {options others} {
    foreach cell [array names ::cell] {
        foreach {pin direction type} [pins_of $cell] {
            if {$direction eq "I" && $type in {clk rst} && $pin ni {aux_reset_in mb_debug_sys_rst}} {
                need {[info exists ::net_of($cell/$pin)]} {$cell/$pin is not connected}
            }
        }
        foreach {name mode vlnv} [interfaces_of $cell] {
            need {[info exists ::peer_of($cell/$name)] || [info exists ::external($cell/$name)] ||
                  ($mode eq "Master" && [string match /ps $cell])} {$cell/$name is not connected}
        }
    }
    need {[array size ::segments] > 0} {no segment is assigned}
    set ::project(validated) 1
    write_model
}

proc write_model {} {
    set stream [open $::model_file w]
    foreach name [lsort [array names ::cell]] {
        puts $stream [join [list cell $name $::cell($name)] \t]
    }
    foreach name [lsort [array names ::config]] {
        lassign [split $name ,] cell parameter
        puts $stream [join [list config $cell $parameter $::config($name)] \t]
    }
    foreach cell [lsort [array names ::cell]] {
        foreach {pin direction type} [pins_of $cell] {
            set net [expr {[info exists ::net_of($cell/$pin)] ? $::net_of($cell/$pin) : ""}]
            puts $stream [join [list pin $cell/$pin $direction $type $net] \t]
        }
        foreach {name mode vlnv} [interfaces_of $cell] {
            set peer [expr {[info exists ::peer_of($cell/$name)] ? $::peer_of($cell/$name) : ""}]
            if {[info exists ::external($cell/$name)]} {
                set peer external
            }
            puts $stream [join [list interface $cell/$name $mode $vlnv $peer] \t]
        }
    }
    foreach name [lsort [array names ::segments]] {
        puts $stream [join [list segment $name {*}$::segments($name)] \t]
    }
    foreach name [lsort [array names ::property project,*]] {
        puts $stream [join [list project [string range $name 8 end] $::property($name)] \t]
    }
    foreach file $::project(files) {
        puts $stream [join [list file $file] \t]
    }
    puts $stream [join [list repository $::sim(repository)] \t]
    close $stream
}

proc do_save_bd_design {options others} {
    set ::project(saved) 1
}

proc do_make_wrapper {options others} {
    need {$others eq "$::project(design).bd"} {file $others}
    need {[dict exists $options top] && [dict exists $options import]} {-top and -import}
    set ::project(wrapper) 1
}

# Runs.

proc run_folder {run} {
    return [file join $::project(folder) $::project(name).runs $run]
}

proc do_get_runs {options others} {
    need {$others in {synth_1 impl_1}} {run $others}
    set ::property($others,DIRECTORY) [run_folder $others]
    return $others
}

proc do_launch_runs {options others} {
    need {$::project(validated) && $::project(top) ne ""} {the design is not ready for $others}
    need {[string is integer -strict [option $options jobs 1]]} {jobs}
    set folder [run_folder $others]
    file mkdir $folder
    set ::launched($others) [option $options to_step]
    set complete [expr {$others ne $::sim(fails)}]
    set ::property($others,PROGRESS) [expr {$complete ? "100%" : "46%"}]
    set ::property($others,STATUS) [expr {$complete ? "write_bitstream Complete!" : "route_design ERROR"}]
    if {$others eq "impl_1"} {
        need {[info exists ::launched(synth_1)]} {synth_1 was not launched}
        set ::property(impl_1,STATS.TPWS) $::sim(pulse)
        if {$complete && [option $options to_step] eq "write_bitstream"} {
            touch [file join $folder $::project(top).bit] bits
            # 2020.2 and newer: .gen.
            set kind [expr {[package vcompare $::sim(version) 2020.2] < 0 ? "srcs" : "gen"}]
            touch [file join $::project(folder) $::project(name).$kind sources_1 bd $::project(design) hw_handoff \
                $::project(design).hwh] "<EDKSYSTEM/>"
        }
    }
}

proc touch {file content} {
    file mkdir [file dirname $file]
    set stream [open $file w]
    puts -nonewline $stream $content
    close $stream
}

proc do_wait_on_run {options others} {
    need {[info exists ::launched($others)]} {$others was not launched}
    set ::waited($others) 1
}

proc do_open_run {options others} {
    need {[info exists ::waited($others)] && $::property($others,PROGRESS) eq "100%"} {$others is not complete}
    set ::project(opened) $others
}

proc opened {} {
    need {[info exists ::project(opened)] && $::project(opened) eq "impl_1"} {no implemented design is open}
}

foreach report {report_utilization report_timing_summary report_drc report_power} {
    proc do_$report {options others} "
        if {\[lindex \$::steps end\] ne \"synth_design\"} {opened}
        touch \[dict get \$options file] $report
    "
}

proc do_get_timing_paths {options others} {
    opened
    need {[dict exists $options setup] + [dict exists $options hold] == 1} {setup or hold}
    need {[option $options max_paths 1] == 1} {one path}
    if {!$::sim(paths)} {
        return ""
    }
    set kind [expr {[dict exists $options hold] ? "hold" : "setup"}]
    array set ::property [list $kind,SLACK $::sim($kind) \
        $kind,STARTPOINT_PIN system_i/engine/inst/u_engine/${kind}_q_reg/C \
        $kind,ENDPOINT_PIN system_i/engine/inst/u_engine/${kind}_sum_reg/D]
    return $kind
}

proc do_write_hw_platform {options others} {
    opened
    lassign $others file
    need {[dict exists $options include_bit] && [file extension $file] eq ".xsa"} {an .xsa with the bitstream, got $file}
    touch $file xsa
}

# Without a project (UG892): the sources are read one by one, and each step works on the design in memory.

set steps {}

proc do_read_verilog {options others} {
    lassign $others file
    need {[file isfile $file]} {read_verilog: $file does not exist}
    need {[dict exists $options sv] == ([file extension $file] eq ".sv")} {read_verilog: the language of $file}
    lappend ::project(files) $file
}

proc do_read_xdc {options others} {
    lassign $others file
    need {[option $options mode] eq "out_of_context"} {mode}
    set ::clock ""
    interp eval tool [list source $file]
    need {$::clock ne ""} {$file creates no clock}
}

proc do_get_ports {options others} {
    need {$others eq "aclk"} {port $others}
    return port_$others
}

proc do_create_clock {options others} {
    need {$others eq "port_aclk" && [option $options period 0] > 0} {clock of $others}
    set ::clock [option $options name]
    set ::property(project,period) [option $options period]
}

proc step {name after} {
    need {$after eq [lindex $::steps end]} {$name does not follow [lindex $::steps end]}
    lappend ::steps $name
}

proc do_synth_design {options others} {
    step synth_design {}
    need {[info exists ::clock]} {no constraint was read}
    need {[option $options mode] eq "out_of_context" && [option $options flatten_hierarchy] eq "rebuilt"} {mode}
    set ::property(project,PART) [option $options part]
    set top [option $options top]
    read_module $top [lsearch -inline $::project(files) */$top.v]
    set ::cell(/engine) xilinx.com:module_ref:$top:1.0
    foreach generic $::repeated(generic) {
        need {[regexp {^(\w+)=(\d+)$} $generic -> name value]} {generic $generic}
        set ::config(/engine,[known_parameter /engine $name]) $value
    }
    write_model
}

foreach {name after} {opt_design synth_design place_design opt_design phys_opt_design place_design route_design
        phys_opt_design} {
    proc do_$name {options others} "step $name $after; if {\"$name\" eq \"route_design\"} {set ::project(opened) impl_1}"
}

proc do_write_checkpoint {options others} {
    lassign $others file
    need {$::steps ne "" && [file extension $file] eq ".dcp"} {checkpoint $file}
    touch $file dcp
}
