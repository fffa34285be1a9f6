package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func createJoin() {
	batch, ms := number("batch", 1), number("ms", 200)
	paramsDone()
	each := perUnit(func(batches int) {
		var all sync.WaitGroup
		for ; batches > 0; batches-- {
			all.Add(batch)
			for i := 0; i < batch; i++ {
				go all.Done()
			}
			all.Wait()
		}
	}, ms)
	put("create_join", each/float64(batch), "ns")
}

func fanOut(n int) float64 {
	g, t := newGate(), time.Now()
	all := start(n, func(int) { g.pass() })
	g.await(n)
	g.release()
	all.Wait()
	return nsEach(time.Since(t), n)
}

func fanOuts() {
	n, again := number("threads", 1000), number("again", 3)
	paramsDone()
	put("cold", fanOut(n), "ns")
	best := 0.0
	for i := 0; i < again; i++ {
		if warm := fanOut(n); best == 0 || warm < best {
			best = warm
		}
	}
	put("warm", best, "ns")
}

func parked() {
	own := func() int {
		return kib("/proc/self/status", "VmRSS:") + kib("/proc/self/status", "VmPTE:")
	}
	kernel := func() int {
		return kib("/proc/meminfo", "KernelStack:") + kib("/proc/meminfo", "Slab:")
	}
	n := number("threads", 1000)
	number("stack", 0) // grows as it is needed
	paramsDone()
	g := newGate()
	var notWoken atomic.Int64
	notWoken.Store(int64(n))
	allWoken := make(chan struct{}, 1)

	ownBefore, kernelBefore := own(), kernel()
	begun := time.Now()
	all := start(n, func(int) {
		g.pass()
		if notWoken.Add(-1) == 0 {
			allWoken <- struct{}{}
		}
	})
	g.await(n)
	parked := time.Now()
	ownMore, kernelMore := own()-ownBefore, kernel()-kernelBefore
	opened := time.Now()
	g.release()
	<-allWoken
	woken := time.Now()
	all.Wait()
	put("create", nsEach(parked.Sub(begun), n), "ns")
	put("wake", nsEach(woken.Sub(opened), n), "ns")
	put("join", nsEach(time.Since(woken), n), "ns")
	put("memory", float64(ownMore)/float64(n), "KiB")
	put("all_memory", float64(ownMore+kernelMore)/float64(n), "KiB")
}

func grow(first, leaves int, sum *int) {
	if leaves == 1 {
		*sum = first
		return
	}
	var sums [10]int
	start(10, func(i int) { grow(first+i*(leaves/10), leaves/10, &sums[i]) }).Wait()
	for _, s := range sums {
		*sum += s
	}
}

func skynet() {
	leaves := number("leaves", 1000)
	paramsDone()
	threads, power, sum := 0, 1, 0
	for ; power < leaves; power *= 10 {
		threads += power * 10
	}
	if power != leaves || threads == 0 {
		die("leaves: a power of 10")
	}
	t := time.Now()
	grow(0, leaves, &sum)
	d := time.Since(t)
	if sum != leaves*(leaves-1)/2 {
		die("the sum is", sum)
	}
	put("thread", nsEach(d, threads), "ns")
}
