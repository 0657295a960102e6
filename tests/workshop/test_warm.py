"""Forked kernels: each its own, gone with whoever asked for it, and only forked from what a fork copies whole."""

import os
import signal

import psutil
import pytest
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

from workshop import warm

pytestmark = pytest.mark.skipif(not warm.available(), reason="kernels are forked on Linux only")


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return a function that starts a warm kernel in a folder and returns its manager and client."""
    folder = tmp_path_factory.mktemp("jupyter")
    started = []

    def start(**options):
        specs = KernelSpecManager(kernel_dirs=[str(folder / "kernels")])
        manager = KernelManager(kernel_name=warm.NAME, kernel_spec_manager=specs)
        manager.start_kernel(**options)
        client = manager.client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        started.append((manager, client))
        return manager, client

    with warm.kernels(folder, {"SAID_TO_ALL": "yes"}, ["fractions", "ipykernel.kernelapp"]):
        yield start
        for manager, client in started:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def run(client, code):
    """Return what the code prints, or the name of what it raises."""
    said = []

    def note(message):
        if message["msg_type"] == "stream":
            said.append(message["content"]["text"])

    reply = client.execute_interactive(code, output_hook=note, timeout=60)["content"]
    return "".join(said).strip() if reply["status"] == "ok" else reply["ename"]


def test_a_kernel_has_its_own_folder_variables_and_memory(start, tmp_path):
    (tmp_path / "beside.py").write_text("VALUE = 7\n", encoding="utf-8")
    _, one = start(cwd=str(tmp_path), env=os.environ | {"MINE": "one"})
    _, other = start()
    assert run(one, "import os, sys; print(os.getcwd(), os.environ['MINE'])") == f"{tmp_path} one"
    assert run(one, "import beside; x = beside.VALUE; print(x)") == "7"
    assert run(one, "print('fractions' in sys.modules, 'workshop' in sys.modules)") == "True False"
    assert run(other, "x") == "NameError"
    assert run(other, "import os; print('MINE' in os.environ, 'WORKSHOP_WARM' in os.environ)") == "False False"
    pids = [int(run(client, "import os; print(os.getpid())")) for client in (one, other)]
    assert len({*pids, os.getpid()}) == 3
    assert psutil.Process(pids[0]).parent() == psutil.Process(pids[1]).parent()


def test_a_kernel_reads_its_requests_in_its_main_thread(start):
    _, client = start()
    names = run(client, "import threading; print(sorted(thread.name for thread in threading.enumerate()))")
    assert "MainThread" in names
    assert "Control" in names
    assert "Shell" not in names
    for count in range(200):
        assert run(client, f"print({count})") == str(count)


def test_a_kernel_can_be_interrupted(start):
    manager, client = start()
    # The kernel drops what comes within a moment of an error, unless it is told not to.
    request = client.execute("import time; print('now'); time.sleep(60)", stop_on_error=False)
    while client.get_iopub_msg(timeout=60)["msg_type"] != "stream":
        pass
    manager.interrupt_kernel()
    while (reply := client.get_shell_msg(timeout=30))["parent_header"]["msg_id"] != request:
        pass
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    assert run(client, "print('still here')") == "still here"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_kernel_ends_with_whoever_asked_for_it(start, how):
    manager, client = start()
    kernel = psutil.Process(int(run(client, "import os; print(os.getpid())")))
    os.kill(manager.provisioner.process.pid, how)
    kernel.wait(30)
    assert not kernel.is_running()


def test_a_process_that_a_fork_would_not_copy_whole_is_refused(tmp_path, monkeypatch):
    (tmp_path / "busy.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    with pytest.raises(RuntimeError, match="2 threads run after the imports"), warm.kernels(tmp_path, {}, ["busy"]):
        pass
