package main

import (
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func nsEach(t time.Duration, n int) float64 {
	return float64(t.Nanoseconds()) / float64(n)
}

// ns a unit: body(n) does n units, and n doubles until they last for ms.
func perUnit(body func(n int), ms int) float64 {
	for n := 1; ; n *= 2 {
		t := time.Now()
		body(n)
		if d := time.Since(t); d >= time.Duration(ms)*time.Millisecond {
			return nsEach(d, n)
		}
	}
}

// Starts n of them, and gives what to wait for.
func start(n int, body func(i int)) *sync.WaitGroup {
	var all sync.WaitGroup
	all.Add(n)
	for i := 0; i < n; i++ {
		go func(i int) {
			body(i)
			all.Done()
		}(i)
	}
	return &all
}

// ---- A gate: they arrive and wait; whoever opens it waits for all of them first ----

type gate struct {
	lock             sync.Mutex
	arrival, opening *sync.Cond
	here             int
	open             bool
}

func newGate() *gate {
	g := &gate{}
	g.arrival = sync.NewCond(&g.lock)
	g.opening = sync.NewCond(&g.lock)
	return g
}

func (g *gate) pass() {
	g.lock.Lock()
	g.here++
	g.arrival.Signal()
	for !g.open {
		g.opening.Wait()
	}
	g.lock.Unlock()
}

func (g *gate) await(n int) {
	g.lock.Lock()
	for g.here < n {
		g.arrival.Wait()
	}
	g.lock.Unlock()
}

func (g *gate) release() {
	g.lock.Lock()
	g.open = true
	g.opening.Broadcast()
	g.lock.Unlock()
}

// Let n that have arrived go for so long, until stop; when that began.
func (g *gate) run(n, ms int, stop *atomic.Bool) time.Time {
	g.await(n)
	t := time.Now()
	g.release()
	time.Sleep(time.Duration(ms) * time.Millisecond)
	stop.Store(true)
	return t
}

// ---- What the kernel says ----

func cpuTime() time.Duration {
	var u syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func kib(file, name string) int {
	text, err := os.ReadFile(file)
	must(err)
	for _, line := range strings.Split(string(text), "\n") {
		if strings.HasPrefix(line, name) {
			n, err := strconv.Atoi(strings.Fields(line)[1])
			must(err)
			return n
		}
	}
	return 0
}

// ---- Percentiles; samples are sorted by it ----

func percentile(s []float32, percent float64) float64 {
	if len(s) == 0 {
		return 0
	}
	sort.Slice(s, func(i, j int) bool { return s[i] < s[j] })
	i := int(float64(len(s)) * percent / 100)
	if i >= len(s) {
		i = len(s) - 1
	}
	return float64(s[i])
}
