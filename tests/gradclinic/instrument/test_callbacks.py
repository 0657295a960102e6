"""The instrument in other people's loops, each with the real library, where it is installed."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import gradclinic
from gradclinic.instrument.callbacks import Held
from gradclinic.tf_net import keras

X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = np.arange(64) % 3


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def by_hand(every=2, steps=4):
    """The same four steps of SGD as every library below takes them: the report, and the weights they lead to."""
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=every) as run:
        for step in range(steps):
            batch = slice(16 * step, 16 * step + 16)
            optimizer.zero_grad()
            functional.cross_entropy(model(torch.tensor(X[batch])), torch.tensor(Y[batch])).backward()
            optimizer.step()
    return run.report, model.state_dict()


def same(report, state):
    """As by hand: what was read, and that watching changed no weight."""
    wanted, weights = by_hand()
    assert (report.steps, report.total) == (wanted.steps, wanted.total) == ((0, 2), 4)
    assert [name.removeprefix("net.") for name in report.names] == list(wanted.names)
    for quantity in ("delta", "weight_gradient", "update"):
        np.testing.assert_allclose(report.column(quantity), wanted.column(quantity), rtol=1e-4, err_msg=quantity)
    for mine, other in zip(state.values(), weights.values(), strict=True):
        torch.testing.assert_close(mine, other)


def test_a_callback_holds_one_watch_and_lets_go():
    held, model = Held(every=1), net()
    with pytest.raises(ValueError, match="report: got no training step yet"):
        _ = held.report
    held.close()  # nothing to close
    held.open(model)
    functional.cross_entropy(model(torch.tensor(X)), torch.tensor(Y)).backward()
    held.note(1.5)
    held.open(model)  # the run before raised and left its watch open
    assert sum(len(m._forward_hooks) for m in model.modules()) == 4 + 1  # of each module, and where a step begins
    functional.cross_entropy(model(torch.tensor(X)), torch.tensor(Y)).backward()
    held.note(2.5)
    held.close()
    assert (held.report.total, held.report.losses) == (1, {0: 2.5})
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_keras_callback_reads_what_the_context_reads():
    from gradclinic.instrument.callbacks.keras import Watch

    def fitted(callbacks=()):
        keras.utils.set_random_seed(0)
        parts = [keras.layers.Dense(8, "relu", name="a"), keras.layers.Dense(3, name="b")]
        model = keras.Sequential([keras.Input((6,)), *parts])
        model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        settings = {"batch_size": 16, "epochs": 1, "shuffle": False, "verbose": 0}
        if callbacks:
            model.fit(X, Y, validation_data=(X[:8], Y[:8]), callbacks=list(callbacks), **settings)
            return model
        with gradclinic.watch(model, every=2) as run:
            model.fit(X, Y, **settings)
        return model, run.report

    told = []
    watch = Watch(every=2, tell=lambda step, made: told.append(step))
    model = fitted([watch])
    other, wanted = fitted()
    assert watch.report.steps == wanted.steps == (0, 2)
    assert told == [0, 2]
    np.testing.assert_allclose(watch.report.column("update"), wanted.column("update"), rtol=1e-5)
    np.testing.assert_allclose(watch.report.column("delta"), wanted.column("delta"), rtol=1e-5)
    for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    model.fit(X, Y, batch_size=16, epochs=1, verbose=0)  # without the callback nothing is read any more
    assert watch.report.total == 4


@pytest.mark.filterwarnings("ignore")  # those of the libraries themselves
def test_hugging_face_callback(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install transformers")
    pytest.importorskip("accelerate", reason="accelerate is not installed, which Trainer needs")
    from gradclinic.instrument.callbacks.hugging_face import Watch

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net()

        def forward(self, x, labels):
            logits = self.net(x)
            return {"loss": functional.cross_entropy(logits, labels), "logits": logits}

    class Ordered(transformers.Trainer):
        def _get_train_sampler(self, *_):
            return torch.utils.data.SequentialSampler(rows)

    rows = [{"x": torch.tensor(x), "labels": int(y)} for x, y in zip(X, Y, strict=True)]
    settings = transformers.TrainingArguments(
        output_dir=str(tmp_path), per_device_train_batch_size=16, num_train_epochs=1, logging_steps=1, report_to=[],
        save_strategy="no", max_grad_norm=0.0, lr_scheduler_type="constant", learning_rate=0.1, use_cpu=True,
        disable_tqdm=True,
    )  # fmt: skip
    model, watch = Model(), Watch(every=2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0)
    Ordered(model, settings, train_dataset=rows, callbacks=[watch], optimizers=(optimizer, rule)).train()
    same(watch.report, model.net.state_dict())
    assert len(watch.report.losses) == 4
    assert not any(m._forward_hooks for m in model.modules())


@pytest.mark.filterwarnings("ignore")  # those of the libraries themselves
def test_lightning_callback(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed: pip install lightning")
    from gradclinic.instrument.callbacks.lightning import Watch

    class Model(lightning.LightningModule):  # as in Lightning's own readme: no forward
        def __init__(self):
            super().__init__()
            self.net = net()

        def training_step(self, batch, _):
            x, y = batch
            return functional.cross_entropy(self.net(x), y)

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.1)

    class Kept(lightning.loggers.CSVLogger):
        def log_metrics(self, metrics, step=None):
            logged.append((step, metrics))

    logged = []
    rows = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    watch, model = Watch(every=2), Model()
    trainer = lightning.Trainer(
        max_epochs=1, accelerator="cpu", callbacks=[watch], logger=Kept(tmp_path), enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(model, torch.utils.data.DataLoader(rows, batch_size=16))
    same(watch.report, model.net.state_dict())
    assert len(watch.report.losses) == 4
    assert [step for step, found in logged if "gradclinic/median/delta" in found] == [0, 2]

    class Broken(Model):
        def training_step(self, batch, index):
            if index == 1:
                raise RuntimeError("on purpose")
            return super().training_step(batch, index)

    broken = Broken()
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer.__class__(
            max_epochs=1, accelerator="cpu", callbacks=[watch], logger=False, enable_checkpointing=False,
            enable_progress_bar=False, enable_model_summary=False,
        ).fit(broken, torch.utils.data.DataLoader(rows, batch_size=16))  # fmt: skip
    assert watch.report.total == 1
    assert not any(m._forward_hooks for m in broken.modules())


def test_a_step_with_a_closure_has_its_own_update():
    """As Lightning does it: the forward and backward pass run inside ``optimizer.step``."""
    wanted, weights = by_hand(every=1)
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=1) as run:
        for step in range(4):
            batch = slice(16 * step, 16 * step + 16)

            def closure(batch=batch):
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(torch.tensor(X[batch])), torch.tensor(Y[batch]))
                loss.backward()
                return loss

            optimizer.step(closure)
    np.testing.assert_allclose(run.report.column("update"), wanted.column("update"), rtol=1e-5)
    torch.testing.assert_close(model.state_dict(), weights)


@pytest.mark.filterwarnings("ignore")  # those of TensorBoard itself
def test_tensorboard_files_are_read_back(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install tensorboard")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        from torch.utils.tensorboard import SummaryWriter

    from gradclinic.instrument import writers

    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with SummaryWriter(tmp_path) as writer, gradclinic.watch(model, every=2, tell=writers.TensorBoard(writer)) as run:
        for _ in range(5):
            optimizer.zero_grad()
            functional.cross_entropy(model(torch.tensor(X)), torch.tensor(Y)).backward()
            optimizer.step()
    stored = EventAccumulator(str(tmp_path))
    stored.Reload()
    events = stored.Scalars("gradclinic/update/2")
    assert [event.step for event in events] == [0, 2, 4]
    np.testing.assert_allclose([event.value for event in events], run.report.column("update")[:, 1], rtol=1e-6)


def logged_by_hand(log):
    """Three sampled steps handed to any ``log(dict, step=step)``; what the run itself has read."""
    from gradclinic.instrument import writers

    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with gradclinic.watch(model, every=2, tell=writers.Logged(log)) as run:
        for _ in range(5):
            optimizer.zero_grad()
            functional.cross_entropy(model(torch.tensor(X)), torch.tensor(Y)).backward()
            optimizer.step()
    return run.report.column("update")[:, 1]


@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_offline(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb", exc_type=ImportError)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    kept = []
    with wandb.init(project="test", dir=tmp_path, mode="offline") as run:
        wanted = logged_by_hand(lambda found, step: (run.log(found, step=step), kept.append(found)))
        run.log({}, step=5)  # a step is closed by the next one
        summary = dict(run.summary)
    assert summary["gradclinic/update/2"] == pytest.approx(wanted[-1], rel=1e-6)  # of the last step
    assert len(kept) == 3
    assert list(tmp_path.rglob("*.wandb"))


@pytest.mark.filterwarnings("ignore")
def test_mlflow_in_a_local_store(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install mlflow", exc_type=ImportError)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(tmp_path.as_uri())
    mlflow.set_experiment("test")
    with mlflow.start_run() as run:
        wanted = logged_by_hand(mlflow.log_metrics)
    stored = mlflow.MlflowClient().get_metric_history(run.info.run_id, "gradclinic/update/2")
    assert sorted(metric.step for metric in stored) == [0, 2, 4]
    np.testing.assert_allclose([m.value for m in sorted(stored, key=lambda m: m.step)], wanted, rtol=1e-6)


def test_callbacks_import_no_library_but_their_own():
    before = set(sys.modules)
    import gradclinic.instrument.callbacks  # noqa: F401

    assert not {name.partition(".")[0] for name in set(sys.modules) - before} & {"transformers", "lightning"}
