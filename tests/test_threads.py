"""`--threads`: one limit for everything that computes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info

from narrowgauge.sim.threads import limited_threads, thread_count


def test_a_limit_holds_while_it_is_open_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    before = thread_count(), [pool["num_threads"] for pool in threadpool_info()]
    with limited_threads(1):
        assert thread_count() == 1
        assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "1"
        assert all(pool["num_threads"] == 1 for pool in threadpool_info())
        with limited_threads(3):
            assert thread_count() == 3
        with limited_threads(None):
            assert thread_count() == 1
    assert (thread_count(), [pool["num_threads"] for pool in threadpool_info()]) == before
    assert os.environ["OMP_NUM_THREADS"] == "7" and "MKL_NUM_THREADS" not in os.environ
    with pytest.raises(KeyError), limited_threads(1):
        raise KeyError
    assert thread_count() == before[0]


@pytest.mark.parametrize("loaded", ["before", "after"])
def test_pytorch_is_limited_whenever_it_is_loaded(loaded: str) -> None:
    lines = [
        "from narrowgauge.sim.threads import limited_threads",
        *(["import torch"] if loaded == "before" else []),
        "with limited_threads(1):",
        "    import torch",
        "    print(torch.get_num_threads())",
    ]
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    result = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert result.stdout.strip() == "1"


def test_the_golden_model_and_onnxruntime_ask_for_the_limit() -> None:
    import numpy as np

    from narrowgauge.graph.onnx_io import model_bytes
    from narrowgauge.sim.golden.model import GoldenModel
    from narrowgauge.sim.levels.onnx import OnnxLevel

    from .support.graphs import random_graph

    graph = random_graph(np.random.default_rng(0), layers=0)
    with limited_threads(1):
        assert GoldenModel(graph).threads == 1
        onnx = OnnxLevel(model_bytes(graph), graph)
    session = onnx._session(every_value=False)
    assert session.get_session_options().intra_op_num_threads == 1
