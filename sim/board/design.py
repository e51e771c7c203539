"""The block design of a virtual board, by the family of its device: addresses, and what the .hwh says about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

LENGTH_BITS = 26
"""Bits of the length of a transfer."""

RANGE = 0x1_0000
"""Bytes at the base address of each IP."""


@dataclass(frozen=True)
class Design:
    """A block design: processing system, engine and AXI DMA.

    Attributes:
        engine, dma: base addresses of the IP.
        address_bits: of the addresses of the DMA.
        interrupt: number of the interrupt line at the interrupt controller of the processor: IRQ_F2P[0] (UG585, table
            7-4) or pl_ps_irq0[0] (UG1085, table 13-1).
        names: values of the template: names of parts and ports.
        settings: parameters of the processing system that pynq reads.
    """

    engine: int
    dma: int
    address_bits: int
    interrupt: int
    names: dict[str, str]
    settings: dict[str, str]


def _zynq_clock(number: int) -> dict[str, str]:
    return {
        f"PCW_FPGA_FCLK{number}_ENABLE": str(int(number == 0)),
        f"PCW_FCLK{number}_PERIPHERAL_CLKSRC": "IO PLL",
        f"PCW_FCLK{number}_PERIPHERAL_DIVISOR0": "5",
        f"PCW_FCLK{number}_PERIPHERAL_DIVISOR1": "2",
    }


def _zynqmp_clock(number: int) -> dict[str, str]:
    clock = f"PSU__CRL_APB__PL{number}_REF_CTRL"
    return {
        f"PSU__FPGA_PL{number}_ENABLE": str(int(number == 0)),
        f"{clock}__SRCSEL": "IOPLL",
        f"{clock}__DIVISOR0": "15",
        f"{clock}__DIVISOR1": "1",
        f"{clock}__ACT_FREQMHZ": "99.999001",
    }


def _clocks(clock: Callable[[int], dict[str, str]]) -> dict[str, str]:
    return {name: value for number in range(4) for name, value in clock(number).items()}


DESIGNS = {
    "zynq": Design(
        engine=0x4000_0000,
        dma=0x4040_0000,
        address_bits=32,
        interrupt=61,
        names={
            "arch": "zynq",
            "device": "7z020",
            "package": "clg400",
            "ps": "processing_system7",
            "ps_version": "5.5",
            "clock": "FCLK_CLK0",
            "irq": "IRQ_F2P",
            "registers": "M_AXI_GP0",
            "port": "S_AXI_HP0",
        },
        settings=_clocks(_zynq_clock),
    ),
    "zynqmp": Design(
        engine=0xA000_0000,
        dma=0xA001_0000,
        address_bits=40,
        interrupt=121,
        names={
            "arch": "zynquplus",
            "device": "xck26",
            "package": "sfvc784",
            "ps": "zynq_ultra_ps_e",
            "ps_version": "3.5",
            "clock": "pl_clk0",
            "irq": "pl_ps_irq0",
            "registers": "M_AXI_HPM0_FPD",
            "port": "S_AXI_HP0_FPD",
        },
        settings=_clocks(_zynqmp_clock),
    ),
}
"""Block designs by the family of the device."""
