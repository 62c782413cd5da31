"""The golden runs: small configs with every setting named, so that no default and no file of configs/ has a part.

A run is a dict, as a YAML file would hold it. Under `upstream` stand the names of other golden runs. A class that is
renamed or moved is changed once, in CLASSES; an argument that is renamed, in the function that makes its dict.
"""

from typing import Any

CLASSES = {
    "A2C": "ialp.rl.A2C",
    "BuiltinLog": "ialp.data.BuiltinLog",
    "Categorical": "ialp.rl.Categorical",
    "Clicks": "ialp.phases.objectives.Clicks",
    "CoatLog": "ialp.data.readers.CoatLog",
    "CutOnce": "tests.golden.cut.CutOnce",
    "BlockwisePolicySet": "ialp.rl.large.BlockwisePolicySet",
    "BlockwiseScratch": "ialp.rl.large.BlockwiseScratch",
    "DQN": "ialp.rl.DQN",
    "DeepFM": "ialp.nets.DeepFM",
    "EarlyStopping": "lightning.pytorch.callbacks.EarlyStopping",
    "ReplayDataModule": "ialp.datamodules.ReplayDataModule",
    "OnPolicyDataModule": "ialp.datamodules.OnPolicyDataModule",
    "EpsilonGreedy": "ialp.rl.EpsilonGreedy",
    "Evaluation": "ialp.phases.Evaluation",
    "ExponentialAlpha": "ialp.rl.ExponentialAlpha",
    "FineTune": "ialp.rl.schemes.FineTune",
    "FromPolicy": "ialp.rl.FromPolicy",
    "Frozen": "ialp.rl.schemes.Frozen",
    "GatedPolicySet": "ialp.rl.schemes.GatedPolicySet",
    "Greedy": "ialp.rl.Greedy",
    "IALPPretrain": "ialp.phases.IALPPretrain",
    "LLMOnline": "ialp.rl.schemes.LLMOnline",
    "LexicalOracle": "ialp.oracle.LexicalOracle",
    "LinearAlpha": "ialp.rl.LinearAlpha",
    "LocalLM": "ialp.oracle.LocalLM",
    "SessionDataModule": "ialp.datamodules.SessionDataModule",
    "ModelCheckpoint": "lightning.pytorch.callbacks.ModelCheckpoint",
    "OnlineAdapt": "ialp.phases.OnlineAdapt",
    "OnlineEpisodes": "ialp.phases.OnlineEpisodes",
    "OracleDataModule": "ialp.datamodules.OracleDataModule",
    "OracleTuning": "ialp.phases.OracleTuning",
    "PatienceExit": "ialp.envs.PatienceExit",
    "PolicySet": "ialp.rl.schemes.PolicySet",
    "PrefetchPretrain": "ialp.phases.PrefetchPretrain",
    "PromptDataModule": "ialp.datamodules.PromptDataModule",
    "Ratings": "ialp.phases.objectives.Ratings",
    "RatingsDataModule": "ialp.datamodules.RatingsDataModule",
    "Reinforce": "ialp.rl.Reinforce",
    "ResumeCheckpoint": "ialp.experiment.resume.ResumeCheckpoint",
    "RewardModel": "ialp.phases.RewardModel",
    "SampledSoftmax": "ialp.rl.large.SampledSoftmax",
    "Scratch": "ialp.rl.schemes.Scratch",
    "SequentialResponse": "ialp.nets.response.SequentialResponse",
    "SimilarityExit": "ialp.envs.SimilarityExit",
    "TopK": "ialp.rl.TopK",
    "WithNeighbours": "ialp.rl.WithNeighbours",
}

Config = dict[str, Any]

COAT_ROOT = "{coat_root}"  # replaced by the folder of a generated Coat
CACHE = "{cache}"  # replaced by a judgement cache of the run's own
HORIZON = 8  # recommendations per episode


def made(name: str, **init_args: Any) -> Config:
    """How a config names an instance."""
    return {"class_path": CLASSES[name], "init_args": init_args}


def config(model: Config, data: Config, epochs: int = 2, upstream: Config | None = None, callbacks: Any = ()) -> Config:
    """The whole config of a run."""
    trainer = {
        "accelerator": "cpu",
        "devices": 1,
        "precision": "32-true",
        "deterministic": True,
        "max_epochs": epochs,
        "accumulate_grad_batches": 1,
        "gradient_clip_val": None,
        "check_val_every_n_epoch": 1,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
        "callbacks": list(callbacks) or None,
    }
    return {"seed_everything": 3, "upstream": upstream, "model": model, "data": data, "trainer": trainer}


# The logs.

SPLIT = {"test_fraction": 0.2, "seed": 0}
LOG = made("BuiltinLog", num_tracks=80, num_sessions=120, seed=1, max_words=12, split=SPLIT)
COAT = made(
    "CoatLog",
    root=COAT_ROOT,
    attributes=["jackettype", "color"],
    liked=4,
    words={"scenario": "fashion", "item": "coat", "behavior": "shopping"},
    max_words=12,
    split=SPLIT,
)


# The reward models.


def best_epoch() -> list[Config]:
    """Stops when the validation loss rises, and keeps the best epoch."""
    return [
        made("EarlyStopping", monitor="val_loss", mode="min", patience=2),
        made("ModelCheckpoint", monitor="val_loss", mode="min"),
    ]


def reward_on_clicks() -> Config:
    """Clicks of a sequence model, by binary cross-entropy on true next items and negatives."""
    model = made(
        "RewardModel",
        net=made("SequentialResponse", dim=16, layers=1, heads=2, max_length=32, dropout=0.2),
        objective=made("Clicks", target_reward=2.0),
        lr=0.003,
        weight_decay=0.01,
        exit_rules=[made("PatienceExit", start=9.0, leave_below=1.0, scale=2.0, lowest=0.1, highest=2.0)],
        horizon=HORIZON,
        reward_scale=5.0,
        test_users=12,
    )
    data = made(
        "SessionDataModule",
        log=LOG,
        batch_size=32,
        negatives=6,
        popularity_power=1.25,
        smoothing=1.0,
        window=10,
        seed=0,
    )
    return config(model, data, epochs=4, callbacks=best_epoch())


def reward_on_ratings() -> Config:
    """Ratings of a factorisation machine with a deep part, by squared error."""
    model = made(
        "RewardModel",
        net=made("DeepFM", dim=6, hidden=[12, 6], dropout=0.2, lowest=1.0, highest=5.0),
        objective=made("Ratings", target_length=5.0),
        lr=0.01,
        weight_decay=0.1,
        exit_rules=[made("SimilarityExit", threshold=1.0, window=5)],
        horizon=HORIZON,
        reward_scale=1.0,
        test_users=12,
    )
    data = made("RatingsDataModule", log=COAT, batch_size=128, validation=0.1, seed=0)
    return config(model, data, epochs=3, callbacks=best_epoch())


# The judges and their tuning.

LEXICAL = made("LexicalOracle", none_threshold=0.02, scale=20.0, adapter=None)
LOCAL = made(
    "LocalLM",
    model="builtin",
    adapter=None,
    revision=None,
    dtype="float32",
    quantization="none",
    batch_tokens=2048,
    checkpointing=False,
    device="cpu",
)


def oracle(judge: Config, interactions: int, epochs: int) -> Config:
    """Tuning of a judge on a few interactions, and its examination."""
    model = made(
        "OracleTuning",
        judge=judge,
        lora={"rank": 4, "alpha": 8.0, "dropout": 0.05, "target_modules": "all-linear", "modules_to_save": None},
        lr=0.003,
        weight_decay=0.01,
        warmup=0.2,
        cache=CACHE,
    )
    data = made(
        "PromptDataModule",
        log=LOG,
        interactions=interactions,
        validation=8,
        calibration=12,
        held_out=8,
        none_share=0.2,
        candidates=5,
        batch_size=4,
        prompt={"template": None, "max_history": 4},
        seed=0,
    )
    return config(model, data, epochs=epochs)


def judging(**changes: Any) -> Config:
    """How answers become picks and rewards."""
    plain = {"orders": 1, "none": "argmax", "temperature": 0.0, "reward": "accepted", "shuffle_seed": 0}
    return plain | changes


def asked(judge: Config, adapter: str | None, how: Config) -> Config:
    """The judge and how it is asked."""
    return {"judge": judge, "adapter": adapter, "judging": how, "template": None, "cache": CACHE, "budget": 500}


# Algorithms and explorations.


def a2c(**changes: Any) -> Config:
    """Advantage actor-critic."""
    plain = {"gamma": 0.9, "baseline": "state", "entropy_weight": 0.01, "critic_weight": 0.8}
    return made("A2C", **(plain | {"bootstrap": "policy", "trace": 0.0} | changes))


def dqn(**changes: Any) -> Config:
    """Q-learning with a target network."""
    plain = {"gamma": 0.9, "double_q": True, "target_every": 100, "tau": 0.1, "temperature": 0.1}
    return made("DQN", **(plain | changes))


def reinforce(**changes: Any) -> Config:
    """Policy gradient."""
    plain = {"gamma": 0.9, "baseline": "state", "entropy_weight": 0.02, "critic_weight": 0.7}
    return made("Reinforce", **(plain | changes))


def categorical(temperature: float = 1.0) -> Config:
    """Actions drawn from the policy."""
    return made("Categorical", temperature=temperature)


def sampled(algorithm: Config) -> Config:
    """An algorithm that learns from a sample of the items."""
    return made("SampledSoftmax", algorithm=algorithm, items=24)


def net(dropout: float = 0.0) -> Config:
    """Sizes of the policy's network."""
    return {"dim": 16, "layers": 1, "heads": 2, "dropout": dropout}


# Pre-training.


def neighbours() -> Config:
    """Candidates like the history, known from the log, and drawn from the policy."""
    return made("WithNeighbours", count=5, neighbours=2, known=2, pool=10)


def pretrain(
    judge: Config = LEXICAL,
    log: Config = LOG,
    data: Config | None = None,
    oracle: str | None = None,
    phase: str = "IALPPretrain",
    asking: Config | None = None,
    **changes: Any,
) -> Config:
    """Pre-training on a judge's preferences, after the run `oracle` that has tuned it; `changes` are the model's."""
    model = {
        "net": net(),
        "algorithm": a2c(gamma=0.5),
        "item_init": "tfidf",
        "actor_temperature": 1.5,
        "listwise_weight": 0.0,
        "lr": 0.003,
        "weight_decay": 0.01,
        "eps": 0.0001,
    }
    plain = {
        "log": log,
        "oracle": asked(judge, "${upstream.oracle}" if oracle else None, judging(**(asking or {}))),
        "sampler": neighbours(),
        "users": 8,
        "steps_per_epoch": 6,
        "updates_per_step": 1,
        "batch_size": 16,
        "replay_capacity": 60,
        "horizon": HORIZON,
    }
    upstream = {"oracle": oracle} if oracle else None
    built = made(phase, **(model | changes)), made("OracleDataModule", **(plain | (data or {})))
    return config(*built, upstream=upstream)


# Online adaptation.


LINEAR = made("LinearAlpha", start=0.2, steps=80)
EXPONENTIAL = made("ExponentialAlpha", start=0.2, tau=50)
WINDOW = {"window": 6, "least": 2}
GATED = made(
    "GatedPolicySet", one_in=4, confidence=0.6, start=0.3, rise=200, fall=300, learner_start="pretrained", **WINDOW
)


def policy_set(schedule: Config = LINEAR, learner_start: str = "new_actor", kind: str = "PolicySet") -> Config:
    """A frozen policy beside a learnable one."""
    return made(kind, alpha=schedule, learner_start=learner_start)


def llm_online() -> Config:
    """The judge picks among the policy's candidates, in front of the users."""
    return made(
        "LLMOnline",
        oracle=asked(LEXICAL, "${upstream.oracle}", judging()),
        sampler=made("FromPolicy", count=4),
        item_init="tfidf",
    )


def replay(log: Config, **changes: Any) -> Config:
    """Users who answer step by step, and a replay buffer."""
    plain = {"log": log, "reward_model": "${upstream.reward_model}", "users": 8, "steps_per_epoch": 6}
    plain |= {"updates_per_step": 1, "batch_size": 16, "replay_capacity": 60, "reward_scale": 0.2, "test_users": 12}
    return made("ReplayDataModule", **(plain | changes))


def whole_episodes(log: Config, **changes: Any) -> Config:
    """Users who play whole episodes between updates."""
    plain = {"log": log, "reward_model": "${upstream.reward_model}", "users": 6, "rollouts_per_epoch": 3}
    plain |= {"minibatches": 2, "reward_scale": 0.2, "test_users": 12, "max_environment_steps": None, "passes": 1}
    return made("OnPolicyDataModule", **(plain | changes))


def online(
    scheme: Config,
    algorithm: Config,
    episodes: bool = False,
    log: Config = LOG,
    data: Config | None = None,
    callbacks: Any = (),
    upstream: Config | None = None,
    **changes: Any,
) -> Config:
    """Online adaptation; `changes` are the model's. A scheme that needs a pre-trained policy gets pretrain_lexical."""
    needed = {"reward_model": "reward_ratings" if log is COAT else "reward_clicks", **(upstream or {})}
    if not scheme["class_path"].endswith(("Scratch", "LLMOnline")):
        needed["pretrained"] = "pretrain_lexical"
    model = {
        "net": net(),
        "scheme": scheme,
        "algorithm": algorithm,
        "exploration": categorical(),
        "pretrained": "${upstream.pretrained}" if "pretrained" in needed else None,
        "pretrained_temperature": 0.5,
        "repeats": False,
        "lr": 0.003,
        "lr_actor": 0.002,
        "evaluation": made("Evaluation", sampled="always"),
    }
    users = (whole_episodes if episodes else replay)(log, **(data or {}))
    phase = "OnlineEpisodes" if episodes else "OnlineAdapt"
    return config(made(phase, **(model | changes)), users, upstream=needed, callbacks=callbacks)


def resumable() -> list[Config]:
    """A checkpoint at every step; the run ends in its eighth batch when it is called for the first time."""
    checkpoint = made("ResumeCheckpoint", every_n_steps=1, every_minutes=60.0, keep=2, patience=5.0)
    return [made("CutOnce", at=7), checkpoint]


EPSILON = made("EpsilonGreedy", start=0.6, end=0.1, steps=70)
SCRATCH, BLOCKWISE_SCRATCH = made("Scratch"), made("BlockwiseScratch")
FINETUNE = made("FineTune")

RUNS: dict[str, Config] = {
    "reward_clicks": reward_on_clicks(),
    "reward_ratings": reward_on_ratings(),
    "oracle_local": oracle(LOCAL, interactions=20, epochs=2),
    "oracle_lexical": oracle(LEXICAL, interactions=20, epochs=3),
    "pretrain_lexical": pretrain(),
    "pretrain_local": pretrain(LOCAL, oracle="oracle_local", data={"users": 4}),
    "pretrain_prefetch": pretrain(phase="PrefetchPretrain", data={"updates_per_step": 2, "steps_per_epoch": 3}),
    "pretrain_listwise": pretrain(
        listwise_weight=1.0, item_init="random", net=net(0.1), data={"sampler": made("FromPolicy", count=5)}
    ),
    "pretrain_judging": pretrain(
        oracle="oracle_lexical",
        asking={"orders": 2, "none": "calibrated", "temperature": 0.5, "reward": "probability", "shuffle_seed": 4},
    ),
    "pretrain_sampled": pretrain(algorithm=sampled(a2c(gamma=0.5)), data={"sampler": made("TopK", count=5)}),
    "pretrain_coat": pretrain(log=COAT),
    "online_a2c_scratch": online(SCRATCH, a2c(), net=net(0.1), repeats=True),
    "online_a2c_finetune": online(FINETUNE, a2c(), lr_actor=None),
    "online_a2c_policyset": online(policy_set(), a2c()),
    "online_a2c_policyset_random": online(policy_set(learner_start="random"), a2c()),
    "online_a2c_policyset_pretrained": online(policy_set(learner_start="pretrained"), a2c()),
    "online_a2c_policyset_exponential": online(policy_set(EXPONENTIAL), a2c()),
    "online_a2c_policyset_gated": online(GATED, a2c(), data={"steps_per_epoch": 12}),
    "online_a2c_policyset_resumed": online(policy_set(), a2c(), callbacks=resumable()),
    "online_a2c_llm_online": online(llm_online(), a2c(), upstream={"oracle": "oracle_lexical"}),
    "online_a2c_bootstrap_max": online(SCRATCH, a2c(bootstrap="max")),
    "online_a2c_baseline_action": online(FINETUNE, a2c(baseline="action")),
    "online_frozen": online(made("Frozen"), a2c()),
    "online_dqn_scratch": online(SCRATCH, dqn(), exploration=EPSILON, data={"updates_per_step": 2}),
    "online_dqn_finetune": online(FINETUNE, dqn(double_q=False, target_every=3, tau=0.0), exploration=EPSILON),
    "online_greedy": online(FINETUNE, a2c(), exploration=made("Greedy")),
    "online_epsilon_greedy": online(policy_set(), a2c(), exploration=EPSILON),
    "online_categorical_cold": online(FINETUNE, a2c(), exploration=categorical(0.5)),
    "online_sampled": online(policy_set(kind="BlockwisePolicySet"), sampled(a2c())),
    "online_dqn_sampled": online(BLOCKWISE_SCRATCH, sampled(dqn()), exploration=EPSILON),
    "episodes_reinforce_scratch": online(SCRATCH, reinforce(), episodes=True, data={"max_environment_steps": 140}),
    "episodes_reinforce_policyset": online(policy_set(), reinforce(baseline="none"), episodes=True),
    "episodes_reinforce_sampled": online(policy_set(kind="BlockwisePolicySet"), sampled(reinforce()), episodes=True),
    "episodes_a2c_finetune": online(FINETUNE, a2c(trace=0.95), episodes=True),
    "coat_a2c_scratch": online(SCRATCH, a2c(), log=COAT, net=net(0.1)),
    "coat_reinforce_scratch": online(SCRATCH, reinforce(), log=COAT, episodes=True),
}
