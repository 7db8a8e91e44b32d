def stat_key(files, *, uid, gid):
    import hashlib, os
    return hashlib.sha256(repr([(f.destination, f.size, f.mode, os.stat(f.content).st_mtime_ns if not isinstance(f.content, bytes) else f.content) for f in files]).encode()).hexdigest()
