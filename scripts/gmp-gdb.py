# gmp-gdb.py - gdb commands for a program whose threads are Gs, alive or a core file.
#
#	gdb -ix gmp-gdb.py -p PID	or  gdb -ix gmp-gdb.py PROGRAM CORE
#	(gdb) info gs			every G: what it does, waits for, and where
#	(gdb) g 12			G 12: its registers, if it does not run, and a backtrace
#	(gdb) g 12 COMMAND		a gdb command in the innermost frame of G 12
#	(gdb) g all [COMMAND]		the same of every G
#
# A G that does not run has its registers on its stack, where gswitch (asm/x86_64/gogo.S)
# has put them. While a command is at it the innermost frame of the current thread is
# unwound to those, so nothing in the process is changed. The structures are read by the
# library's debugging information; their names are those of core/runtime.h.
#
# gdb sees kernel threads. libthread_db, which makes pthreads of them, does not know
# threads that are none and goes round in circles: it is turned off, which has to be
# before the program is there (-ix).
import gdb
from gdb.unwinder import Unwinder, register_unwinder

gdb.execute("set libthread-db-search-path /nonexistent")

STATUS = ["idle", "runnable", "running", "waiting", "dead"]
SAVED = ["r15", "r14", "r13", "r12", "rbx", "rbp", "rip"]


def value(expr):
    try:
        return gdb.parse_and_eval(expr)
    except gdb.error as e:
        raise gdb.GdbError("no libgmp_shim.so with its symbols here: %s" % e)


def find(number):
    chunks = value("'core/gs.c'::chunks")
    # a chunk holds as many Gs as numbers share it: see gbyid
    per = 128
    chunk = chunks[number // per]
    return chunk[number % per] if int(chunk) else None


def status(g):
    return STATUS[int(g["status"])]


def living():
    ghosts, heir = int(value("sched.ghosts")), value("sched.heir")
    for number in range(1, int(value("sched.idgen")) + 2):
        g = find(number)
        # a fork child has its parent's in memory
        if number <= ghosts and g != heir:
            continue
        if g is not None and status(g) not in ("idle", "dead"):
            yield number, g


def reason(g):
    if status(g) != "waiting":
        return ""
    return value("'core/panic.c'::waitreasons")[int(g["waitreason"])].string()


def thread(g):
    """The gdb thread that runs g, or None."""
    if not int(g["sched"]["oncpu"]):
        return None
    m = g["sched"]["m"].cast(gdb.lookup_type("struct m").pointer())
    tid = int(m["tid"])
    for t in gdb.selected_inferior().threads():
        if tid in t.ptid:
            return t
    return None


class InfoGs(gdb.Command):
    """List the Gs: number, status, what it waits for at which address, kernel thread."""

    def __init__(self):
        super().__init__("info gs", gdb.COMMAND_STATUS)

    def invoke(self, arg, tty):
        for number, g in living():
            t = thread(g)
            line = "G%-6d %-9s %-10s" % (number, status(g), reason(g))
            if status(g) == "waiting":
                line += " at %#x" % int(g["waitaddr"])
            if t:
                line += " on LWP %d" % (t.ptid[1] or t.ptid[2])
            print(line)


class G(gdb.Command):
    """g NUMBER|all [COMMAND]: registers and backtrace of a G, or COMMAND in its frame."""

    def __init__(self):
        super().__init__("g", gdb.COMMAND_STACK)

    def invoke(self, arg, tty):
        number, _, command = arg.strip().partition(" ")
        if number == "all":
            for n, g in living():
                print("\nG%d (%s%s):" % (n, status(g), reason(g) and ", " + reason(g)))
                self.one(g, command, tty)
            return
        if not number.isdigit():
            raise gdb.GdbError("g NUMBER|all [COMMAND]")
        g = find(int(number))
        if g is None or status(g) in ("idle", "dead"):
            raise gdb.GdbError("there is no G%s" % number)
        self.one(g, command, tty)

    def one(self, g, command, tty):
        frame, was = gdb.selected_frame(), gdb.selected_thread()
        t = thread(g)
        try:
            if t:
                t.switch()
                gdb.execute(command or "bt", tty)
            else:
                self.parked(g, command, tty)
        finally:
            was.switch()
            if frame.is_valid():
                frame.select()

    def parked(self, g, command, tty):
        parked.begin(int(g["sched"]["sp"]))
        try:
            gdb.execute("select-frame %d" % parked.level)
            if command:
                gdb.execute(command, tty)
                return
            for name, v in parked.registers():
                print("%-4s %#018x" % (name, v))
            lines = gdb.execute("bt", to_string=True).splitlines(True)
            own = ["#%d " % n for n in range(parked.level)]  # the thread's
            for line in lines:
                if not line.startswith(tuple(own)):
                    print(line, end="")
        finally:
            parked.end()


class FrameId:
    """What tells a frame from others: that of the thread that stands in for the G."""

    def __init__(self, sp):
        self.sp = gdb.Value(sp)
        self.pc = gdb.Value(0)


class Parked(Unwinder):
    """The frame that called gswitch, as the caller of the current thread's innermost."""

    def __init__(self):
        super().__init__("gmp parked G")
        self.sp = None

    def begin(self, sp):
        frame = gdb.newest_frame()
        self.pc = int(frame.read_register("rip"))
        self.top = int(frame.read_register("rsp"))
        self.level = 1  # of the G's innermost frame
        while frame.type() == gdb.INLINE_FRAME:
            frame, self.level = frame.older(), self.level + 1
        self.sp = sp
        gdb.invalidate_cached_frames()

    def end(self):
        self.sp = None
        gdb.invalidate_cached_frames()

    def registers(self):
        word = gdb.lookup_type("unsigned long").pointer()
        saved = gdb.Value(self.sp + 8).cast(word)
        for i, name in enumerate(SAVED):
            yield name, int(saved[i])
        yield "rsp", self.sp + 8 * (1 + len(SAVED))

    def __call__(self, frame):
        if self.sp is None or (int(frame.read_register("rip")),
                               int(frame.read_register("rsp"))) != (self.pc, self.top):
            return None
        info = frame.create_unwind_info(FrameId(self.sp))
        for name, v in self.registers():
            long = gdb.lookup_type("unsigned long")
            info.add_saved_register(name, gdb.Value(v).cast(long))
        return info


parked = Parked()
register_unwinder(None, parked, replace=True)
InfoGs()
G()
