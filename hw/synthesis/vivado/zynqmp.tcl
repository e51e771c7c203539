# The processing system of Zynq UltraScale+ MPSoC: parameters and ports as in PG201 and UG1085.

set processor_clock pl_clk0
set processor_reset pl_resetn0
set processor_interrupt pl_ps_irq0
# Bits of the addresses of the DMA, as many as the physical addresses have: memory above 2 GB is at 0x8_0000_0000.
set address_bits 40

# Creates the cell ps.
#
# preset: whether to take the settings of the board part.
# memory_port, register_port: the ports to enable; the other master ports are disabled.
# frequency: of the clock, in MHz.
proc create_processor {preset memory_port register_port frequency} {
    set ps [create_bd_cell -type ip -vlnv [catalog zynq_ultra_ps_e] ps]
    if {$preset} {
        apply_bd_automation -rule xilinx.com:bd_rule:zynq_ultra_ps_e -config {apply_board_preset 1} $ps
    }
    # HP0 is S_AXI_GP2, HPM0_FPD is M_AXI_GP0. Ports have 128 bits after a reset of the processing system.
    scan $memory_port S_AXI_HP%d_FPD number
    set slave [expr {$number + 2}]
    set settings [list \
        CONFIG.PSU__FPGA_PL0_ENABLE 1 \
        CONFIG.PSU__USE__FABRIC__RST 1 \
        CONFIG.PSU__CRL_APB__PL0_REF_CTRL__FREQMHZ $frequency \
        CONFIG.PSU__USE__S_AXI_GP$slave 1 \
        CONFIG.PSU__SAXIGP${slave}__DATA_WIDTH 128 \
        CONFIG.PSU__USE__IRQ0 1]
    foreach {port name} {M_AXI_HPM0_FPD GP0 M_AXI_HPM1_FPD GP1 M_AXI_HPM0_LPD GP2} {
        lappend settings CONFIG.PSU__USE__M_AXI_$name [expr {$port eq $register_port}]
        if {$port eq $register_port} {
            lappend settings CONFIG.PSU__MAXI${name}__DATA_WIDTH 128
        }
    }
    set_property -dict $settings $ps
    return $ps
}

# The pin with the clock of an AXI port.
proc port_clock {port} {
    return [string tolower [string map {_AXI_ axi} $port]]_aclk
}
