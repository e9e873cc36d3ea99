"""Where and how tensors are computed: device, dtype and memory format, from this one place."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Compute:
    """What a network runs on. CPU and CUDA run the same code; only these three differ."""

    device: torch.device
    autocast_dtype: torch.dtype
    memory_format: torch.memory_format = torch.channels_last

    def autocast(self) -> torch.autocast:
        """The context in which a network's forward runs; weights stay float32."""
        enabled = self.autocast_dtype != torch.float32
        return torch.autocast(self.device.type, dtype=self.autocast_dtype, enabled=enabled)

    def __str__(self) -> str:
        return f"{self.device.type} {str(self.autocast_dtype).removeprefix('torch.')} {torch.get_num_threads()} threads"


def best() -> Compute:
    """CUDA where there is one, else the CPU; bfloat16 where the hardware multiplies it, else float32."""
    if torch.cuda.is_available():
        bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
        return Compute(torch.device("cuda"), torch.bfloat16 if bfloat16 else torch.float32)
    return Compute(torch.device("cpu"), torch.bfloat16 if _cpu_multiplies_bfloat16() else torch.float32)


def _cpu_multiplies_bfloat16() -> bool:
    capabilities = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
