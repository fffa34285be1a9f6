package main

import (
	"sync"
	"sync/atomic"
	"time"
)

type worker struct {
	served int
	_      [56]byte // a cache line to each
}

func uncontended(ms int) {
	var lock sync.Mutex
	total, g := 0, newGate()
	beside := start(1, func(int) { g.pass() })
	g.await(1)
	put("lock_unlock", perUnit(func(n int) {
		for i := 0; i < n; i++ {
			lock.Lock()
			total++
			lock.Unlock()
		}
	}, ms), "ns")
	g.release()
	beside.Wait()
}

func mutexes() {
	n, ms := number("threads", 1), number("ms", 200)
	paramsDone()
	if n <= 1 {
		uncontended(ms)
		return
	}
	var lock sync.Mutex
	var stop atomic.Bool
	total, g, workers := 0, newGate(), make([]worker, n)
	all := start(n, func(i int) {
		w := &workers[i]
		g.pass()
		for !stop.Load() {
			lock.Lock()
			total++
			lock.Unlock()
			w.served++
		}
	})
	t := g.run(n, ms, &stop)
	all.Wait()
	put("locks", float64(total)/time.Since(t).Seconds(), "ops/s")
	least := workers[0].served
	for _, w := range workers {
		if w.served < least {
			least = w.served
		}
	}
	put("fairness", float64(least)*float64(n)/float64(total), "")
}

func rwlocks() {
	n, writes, ms := number("threads", 8), number("writes", 1), number("ms", 200)
	paramsDone()
	var lock sync.RWMutex
	var stop atomic.Bool
	var total, sink atomic.Int64
	value, g := 0, newGate()
	all := start(n, func(i int) {
		seed := uint32(i*7919) | 1
		done, seen := 0, 0
		g.pass()
		for ; !stop.Load(); done++ {
			seed = seed*1664525 + 1013904223
			if (seed>>16)%100 < uint32(writes) {
				lock.Lock()
				value++
				lock.Unlock()
			} else {
				lock.RLock()
				seen += value
				lock.RUnlock()
			}
		}
		total.Add(int64(done))
		sink.Add(int64(seen))
	})
	t := g.run(n, ms, &stop)
	all.Wait()
	put("locks", float64(total.Load())/time.Since(t).Seconds(), "ops/s")
}

const room = 64

func queue() {
	producers, consumers := number("producers", 4), number("consumers", 4)
	each := number("items", 100000) / producers
	paramsDone()
	var lock sync.Mutex
	notFull, notEmpty := sync.NewCond(&lock), sync.NewCond(&lock)
	var items [room]int
	head, tail, taken, sum, over := 0, 0, 0, 0, false

	t := time.Now()
	c := start(consumers, func(int) {
		for {
			lock.Lock()
			for tail == head && !over {
				notEmpty.Wait()
			}
			if tail == head {
				lock.Unlock()
				return
			}
			sum += items[head%room]
			head++
			taken++
			notFull.Signal()
			lock.Unlock()
		}
	})
	p := start(producers, func(int) {
		for i := 1; i <= each; i++ {
			lock.Lock()
			for tail-head == room {
				notFull.Wait()
			}
			items[tail%room] = i
			tail++
			notEmpty.Signal()
			lock.Unlock()
		}
	})
	p.Wait()
	lock.Lock()
	over = true
	notEmpty.Broadcast()
	lock.Unlock()
	c.Wait()
	d := time.Since(t)
	if taken != each*producers || sum != producers*each*(each+1)/2 {
		die("items were lost or came twice")
	}
	put("item", nsEach(d, taken), "ns")
}
