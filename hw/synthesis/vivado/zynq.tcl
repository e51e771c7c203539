# The processing system of Zynq-7000: parameters and ports as in PG082 and UG585.

set processor_clock FCLK_CLK0
set processor_reset FCLK_RESET0_N
set processor_interrupt IRQ_F2P
# Bits of the addresses of the DMA.
set address_bits 32

# Creates the cell ps, with the external ports of its memory and pins.
#
# preset: whether to take the settings of the board part.
# memory_port, register_port: the ports to enable; the other master port is disabled.
# frequency: of the clock, in MHz.
proc create_processor {preset memory_port register_port frequency} {
    set ps [create_bd_cell -type ip -vlnv [catalog processing_system7] ps]
    apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 -config [list \
        make_external {FIXED_IO, DDR} apply_board_preset $preset Master Disable Slave Disable] $ps
    set settings [list \
        CONFIG.PCW_EN_CLK0_PORT 1 \
        CONFIG.PCW_EN_RST0_PORT 1 \
        CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ $frequency \
        CONFIG.PCW_USE_$memory_port 1 \
        CONFIG.PCW_USE_FABRIC_INTERRUPT 1 \
        CONFIG.PCW_IRQ_F2P_INTR 1]
    foreach port {M_AXI_GP0 M_AXI_GP1} {
        lappend settings CONFIG.PCW_USE_$port [expr {$port eq $register_port}]
    }
    set_property -dict $settings $ps
    return $ps
}

# The pin with the clock of an AXI port.
proc port_clock {port} {
    return ${port}_ACLK
}
