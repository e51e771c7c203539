# The block design: processing system, AXI DMA and engine in one clock domain (UG994).
#
#     memory of ps <-- memory (SmartConnect) <-- dma --> engine --> dma
#     ps --> registers (AXI Interconnect) --> engine, dma
#     engine (interrupt) --> ps
#
# Source processor.tcl, which is zynq.tcl or zynqmp.tcl, first.

# The newest version of an IP of the catalog.
#
# name: without vendor and library; with a version, exactly this one.
# library: the library of the IP.
proc catalog {name {library ip}} {
    set pattern xilinx.com:$library:$name
    if {[string first : $name] < 0} {
        append pattern :*
    }
    set found [get_ipdefs -quiet $pattern]
    if {$found eq ""} {
        # Newer versions hide IP that they still support.
        set found [get_ipdefs -quiet -all $pattern]
    }
    if {$found eq ""} {
        fail "this Vivado has no IP $pattern"
    }
    return [lindex [lsort -dictionary [get_property VLNV $found]] end]
}

# The only pin of a cell with these properties.
proc pin_of {cell filter} {
    return [the_only [get_bd_pins -of_objects $cell -filter $filter] "$cell pins with $filter"]
}

# The only interface of a cell with these properties.
proc interface_of {cell filter} {
    return [the_only [get_bd_intf_pins -of_objects $cell -filter $filter] "$cell interfaces with $filter"]
}

proc the_only {objects what} {
    if {[llength $objects] != 1} {
        fail "expected one of $what, found [llength $objects]: $objects"
    }
    return $objects
}

# Creates the cell engine: the RTL module narrowgauge with its parameters, or the IP of Vitis HLS, which has its own.
proc create_engine {kind parameters} {
    if {$kind eq "hls"} {
        return [create_bd_cell -type ip -vlnv [catalog engine hls] engine]
    }
    set engine [create_bd_cell -type module -reference narrowgauge engine]
    set settings {}
    foreach {name value} $parameters {
        lappend settings CONFIG.$name $value
    }
    set_property -dict $settings $engine
    return $engine
}

# Creates the cell dma: one channel in each direction, without scatter-gather and without realignment (PG021).
proc create_dma {address_bits} {
    # The driver of PYNQ is bound to this version.
    set dma [create_bd_cell -type ip -vlnv [catalog axi_dma:7.1] dma]
    set_property -dict [list \
        CONFIG.c_include_sg 0 \
        CONFIG.c_sg_include_stscntrl_strm 0 \
        CONFIG.c_sg_length_width 26 \
        CONFIG.c_addr_width $address_bits \
        CONFIG.c_include_mm2s 1 \
        CONFIG.c_include_mm2s_dre 0 \
        CONFIG.c_m_axi_mm2s_data_width 64 \
        CONFIG.c_m_axis_mm2s_tdata_width 64 \
        CONFIG.c_mm2s_burst_size 256 \
        CONFIG.c_include_s2mm 1 \
        CONFIG.c_include_s2mm_dre 0 \
        CONFIG.c_m_axi_s2mm_data_width 64 \
        CONFIG.c_s2mm_burst_size 256] $dma
    return $dma
}

proc connect_interfaces {from to} {
    connect_bd_intf_net [get_bd_intf_pins $from] [get_bd_intf_pins $to]
}

# Creates the block design `name`.
#
# kind: of the engine, rtl or hls.
# parameters: names and values of the parameters of the RTL module.
# frequency: of the clock, in MHz.
proc create_design {name kind parameters frequency} {
    global preset memory_port register_port processor_settings
    global processor_clock processor_reset processor_interrupt address_bits
    create_bd_design $name

    set ps [create_processor $preset $memory_port $register_port $frequency]
    set settings {}
    foreach {parameter value} $processor_settings {
        lappend settings CONFIG.$parameter $value
    }
    if {$settings ne ""} {
        set_property -dict $settings $ps
    }
    set engine [create_engine $kind $parameters]
    set dma [create_dma $address_bits]
    set memory [create_bd_cell -type ip -vlnv [catalog smartconnect] memory]
    set_property -dict {CONFIG.NUM_SI 2 CONFIG.NUM_MI 1} $memory
    set registers [create_bd_cell -type ip -vlnv [catalog axi_interconnect] registers]
    set_property -dict {CONFIG.NUM_SI 1 CONFIG.NUM_MI 2} $registers
    create_bd_cell -type ip -vlnv [catalog proc_sys_reset] reset

    set input [interface_of $engine {MODE == Slave && VLNV =~ "xilinx.com:interface:axis_rtl:*"}]
    set output [interface_of $engine {MODE == Master && VLNV =~ "xilinx.com:interface:axis_rtl:*"}]
    set control [interface_of $engine {MODE == Slave && VLNV =~ "xilinx.com:interface:aximm_rtl:*"}]
    connect_bd_intf_net [get_bd_intf_pins dma/M_AXIS_MM2S] $input
    connect_bd_intf_net $output [get_bd_intf_pins dma/S_AXIS_S2MM]
    connect_interfaces dma/M_AXI_MM2S memory/S00_AXI
    connect_interfaces dma/M_AXI_S2MM memory/S01_AXI
    connect_interfaces memory/M00_AXI ps/$memory_port
    connect_interfaces ps/$register_port registers/S00_AXI
    connect_bd_intf_net [get_bd_intf_pins registers/M00_AXI] $control
    connect_interfaces registers/M01_AXI dma/S_AXI_LITE

    # One clock for everything.
    connect_bd_net [get_bd_pins ps/$processor_clock] [pin_of $engine {TYPE == clk && DIR == I}]
    foreach pin [list \
        ps/[port_clock $memory_port] ps/[port_clock $register_port] reset/slowest_sync_clk memory/aclk \
        dma/s_axi_lite_aclk dma/m_axi_mm2s_aclk dma/m_axi_s2mm_aclk \
        registers/ACLK registers/S00_ACLK registers/M00_ACLK registers/M01_ACLK] {
        connect_bd_net [get_bd_pins ps/$processor_clock] [get_bd_pins $pin]
    }
    # PG164: the interconnect leaves reset before the peripherals.
    connect_bd_net [get_bd_pins ps/$processor_reset] [get_bd_pins reset/ext_reset_in]
    connect_bd_net [get_bd_pins reset/peripheral_aresetn] [pin_of $engine {TYPE == rst && DIR == I}]
    foreach pin {dma/axi_resetn registers/S00_ARESETN registers/M00_ARESETN registers/M01_ARESETN} {
        connect_bd_net [get_bd_pins reset/peripheral_aresetn] [get_bd_pins $pin]
    }
    foreach pin {memory/aresetn registers/ARESETN} {
        connect_bd_net [get_bd_pins reset/interconnect_aresetn] [get_bd_pins $pin]
    }
    # The only interrupt. The DMA is polled.
    connect_bd_net [pin_of $engine {TYPE == intr && DIR == O}] [get_bd_pins ps/$processor_interrupt]

    assign_bd_address
    validate_bd_design
    save_bd_design
    foreach segment [get_bd_addr_segs -of_objects [get_bd_addr_spaces]] {
        puts "narrowgauge: address [get_property -quiet OFFSET $segment], [get_property -quiet RANGE $segment] bytes:\
            $segment"
    }
    puts "narrowgauge: clock [get_property -quiet CONFIG.FREQ_HZ [get_bd_pins ps/$processor_clock]] Hz"
}
