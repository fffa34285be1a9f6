package main

import (
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// One of two sides in turns: 0 begins, 1 answers.
type turns interface {
	await(me int)
	give(me int)
}

type condTurns struct {
	lock   sync.Mutex
	turned *sync.Cond
	turn   int
}

func (c *condTurns) await(me int) {
	c.lock.Lock()
	for c.turn != me {
		c.turned.Wait()
	}
	c.lock.Unlock()
}

func (c *condTurns) give(me int) {
	c.lock.Lock()
	c.turn = 1 - me
	c.turned.Signal()
	c.lock.Unlock()
}

type semaphore chan struct{}

func newSemaphore() semaphore { return make(semaphore, 1) }

type semTurns [2]semaphore

func (s *semTurns) await(me int) { <-s[me] }
func (s *semTurns) give(me int)  { s[1-me] <- struct{}{} }

type fileTurns struct{ in, out [2]*os.File }

func (f *fileTurns) await(me int) {
	var c [1]byte
	_, err := f.in[me].Read(c[:])
	must(err)
}

func (f *fileTurns) give(me int) {
	_, err := f.out[me].Write([]byte{'x'})
	must(err)
}

func socketFiles() (a, b *os.File) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	must(err)
	for _, fd := range fds {
		must(syscall.SetNonblock(fd, true)) // else it is not polled
	}
	return os.NewFile(uintptr(fds[0]), "a"), os.NewFile(uintptr(fds[1]), "b")
}

func newTurns(how string) turns {
	f := &fileTurns{}
	var err error
	switch how {
	case "cond":
		c := &condTurns{}
		c.turned = sync.NewCond(&c.lock)
		return c
	case "sem":
		return &semTurns{newSemaphore(), newSemaphore()}
	case "pipe":
		f.in[1], f.out[0], err = os.Pipe()
		must(err)
		f.in[0], f.out[1], err = os.Pipe()
		must(err)
	case "socketpair":
		a, b := socketFiles()
		f.in, f.out = [2]*os.File{a, b}, [2]*os.File{a, b}
	default:
		die("how: cond, sem, pipe or socketpair")
	}
	return f
}

func pingpongs() {
	t, ms := newTurns(word("how", "cond")), number("ms", 200)
	paramsDone()
	put("round_trip", perUnit(func(n int) {
		other := start(1, func(int) {
			for i := 0; i < n; i++ {
				t.await(1)
				t.give(1)
			}
		})
		for i := 0; i < n; i++ {
			t.give(0)
			t.await(0)
		}
		other.Wait()
	}, ms), "ns")
}

// What is sent says where the answer is to go.
type ball struct{ answer chan ball }

func futures() {
	ms := number("ms", 200)
	paramsDone()
	put("round_trip", perUnit(func(n int) {
		to := make(chan ball, 1)
		other := start(1, func(int) {
			for b := <-to; b.answer != nil; {
				mine := make(chan ball, 1)
				b.answer <- ball{mine}
				b = <-mine
			}
		})
		next := to
		for i := 0; i < n; i++ {
			mine := make(chan ball, 1)
			next <- ball{mine}
			next = (<-mine).answer
		}
		next <- ball{}
		other.Wait()
	}, ms), "ns")
}

func ring() {
	n, ms := number("threads", 1000), number("ms", 200)
	paramsDone()
	sems := make([]semaphore, n)
	for i := range sems {
		sems[i] = newSemaphore()
	}
	for rounds := 1; ; rounds *= 4 {
		var here atomic.Int64
		all := start(n, func(me int) {
			here.Add(1)
			for i := 0; i < rounds; i++ {
				<-sems[me]
				sems[(me+1)%n] <- struct{}{}
			}
		})
		for time.Sleep(20 * time.Millisecond); here.Load() < int64(n); {
			time.Sleep(20 * time.Millisecond)
		}
		t := time.Now()
		sems[0] <- struct{}{}
		all.Wait()
		d := time.Since(t)
		<-sems[0] // the last one posted to the first, who has gone
		if d >= time.Duration(ms)*time.Millisecond {
			put("hop", nsEach(d, rounds*n), "ns")
			return
		}
	}
}

func yields() {
	n, total := number("threads", 2), number("yields", 1000000)
	paramsDone()
	each := total/n + 1
	g := newGate()
	all := start(n, func(int) {
		g.pass()
		for i := 0; i < each; i++ {
			runtime.Gosched()
		}
	})
	g.await(n)
	t := time.Now()
	g.release()
	all.Wait()
	put("yield", nsEach(time.Since(t), each*n), "ns")
}
