from ialp.data import BuiltinLog


def test_builtin_log_is_a_log_like_any_other():
    log = BuiltinLog(num_tracks=100, num_sessions=50).load()
    assert log.is_builtin and log.catalogue.num_items == 100
    assert (len(log.train), len(log.test)) == (40, 10)
    for part in (log.train, log.test):
        assert part.items.min() >= 1 and part.items.max() <= 100
    assert BuiltinLog(num_tracks=100, num_sessions=50).load().fingerprint == log.fingerprint
    assert BuiltinLog(num_tracks=100, num_sessions=50, seed=1).load().fingerprint != log.fingerprint
