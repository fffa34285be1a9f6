#!/bin/bash
# python - a thousand threads of the interpreter, alive at once; locks,
# conditions, queues, events, thread-locals, pools and sockets among them.
. "${0%/*}/common"
need python3
# What is in the path may be a script that looks for the right one.
python=$(python3 -c 'import sys; print(sys.executable)') || exit 1

cat >"$work/test.py" <<'X'
import concurrent.futures, hashlib, queue, socket, subprocess, sys
import threading, time

N = 1000
gate, lock, total = threading.Barrier(N + 1), threading.Lock(), 0
local = threading.local()

def work(i):
    global total
    local.i = i
    gate.wait()
    for k in range(5):
        with lock:
            total += local.i
        time.sleep(0)
    assert local.i == i

ts = [threading.Thread(target=work, args=(i,)) for i in range(N)]
for t in ts: t.start()
gate.wait()
for t in ts: t.join()
print("barrier", total)

q, results = queue.Queue(10), queue.Queue()
def consume():
    s = 0
    while (x := q.get()) is not None:
        s += x
    results.put(s)
cs = [threading.Thread(target=consume) for _ in range(50)]
for c in cs: c.start()
for i in range(5000): q.put(i)
for _ in cs: q.put(None)
for c in cs: c.join()
print("queue", sum(results.get() for _ in cs))

event, seen = threading.Event(), []
def waits():
    assert event.wait(600)
    with lock: seen.append(1)
ts = [threading.Thread(target=waits) for _ in range(200)]
for t in ts: t.start()
print("timeout", event.wait(0.01))
event.set()
for t in ts: t.join()
print("event", len(seen))

cond, turn = threading.Condition(threading.RLock()), 0
def takes_turn(me):
    global turn
    for _ in range(20):
        with cond, cond:
            while turn % 10 != me: cond.wait()
            turn += 1
            cond.notify_all()
ts = [threading.Thread(target=takes_turn, args=(i,)) for i in range(10)]
for t in ts: t.start()
for t in ts: t.join()
print("turns", turn)

with concurrent.futures.ThreadPoolExecutor(20) as pool:
    blocks = [bytes([i]) * 100000 for i in range(100)]
    sums = pool.map(lambda b: hashlib.sha256(b).hexdigest(), blocks)
    print("pool", hashlib.sha256("".join(sums).encode()).hexdigest())

def echo(s):
    with s:
        while data := s.recv(100): s.sendall(data.upper())
answers = []
def talk(i):
    a, b = socket.socketpair()
    t = threading.Thread(target=echo, args=(b,))
    t.start()
    with a:
        for k in range(5):
            a.sendall(b"m%d" % i)
            answers.append(a.recv(100))
        a.shutdown(socket.SHUT_WR)
        t.join()
ts = [threading.Thread(target=talk, args=(i,)) for i in range(50)]
for t in ts: t.start()
for t in ts: t.join()
print("sockets", len(answers), len(set(answers)))

def child(i):
    p = subprocess.run([sys.executable, "-S", "-c", "print(%d)" % i],
                       stdout=subprocess.PIPE)
    with lock: answers.append(int(p.stdout))
answers = []
ts = [threading.Thread(target=child, args=(i,)) for i in range(8)]
for t in ts: t.start()
for t in ts: t.join()
print("children", sorted(answers))
X

body() {
	run "$python" "$work/test.py"
}
compare
