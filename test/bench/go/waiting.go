package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

func sleepers() {
	n, hogs := number("threads", 1000), number("hogs", 0)
	us, ms := number("us", 1000), number("ms", 500)
	paramsDone()
	var stop atomic.Bool
	g, late := newGate(), make([][]float32, n)
	period := time.Duration(us) * time.Microsecond
	for i := range late {
		// Touched now, so that none is while it counts.
		late[i] = make([]float32, 1000*ms/us+1)
		for k := range late[i] {
			late[i][k] = 1
		}
		late[i] = late[i][:0]
	}
	sleepers := start(n, func(i int) {
		g.pass()
		for !stop.Load() {
			due := time.Now().Add(period)
			time.Sleep(period)
			late[i] = append(late[i], float32(time.Since(due).Nanoseconds()))
		}
	})
	var counts atomic.Int64
	computing := start(hogs, func(int) {
		count := int64(0)
		g.pass()
		for !stop.Load() {
			count++
		}
		counts.Add(count)
	})
	t := g.run(n+hogs, ms, &stop)
	computing.Wait()
	sleepers.Wait()
	d := time.Since(t)
	var all []float32
	for _, l := range late {
		all = append(all, l...)
	}
	put("wakeups", float64(len(all))/d.Seconds(), "wakeups/s")
	put("late_p50", percentile(all, 50), "ns")
	put("late_p99", percentile(all, 99), "ns")
}

func idle() {
	n, ms := number("threads", 1000), number("ms", 2000)
	period := time.Duration(number("period", 1000)) * time.Millisecond
	paramsDone()
	var stop atomic.Bool
	g := newGate()
	all := start(n, func(int) {
		g.pass()
		for !stop.Load() {
			time.Sleep(period)
		}
	})
	g.await(n)
	g.release()
	time.Sleep(period)
	t, cpu := time.Now(), cpuTime()
	time.Sleep(time.Duration(ms) * time.Millisecond)
	cpu = cpuTime() - cpu
	put("cpu", 100*cpu.Seconds()/time.Since(t).Seconds(), "%")
	stop.Store(true)
	all.Wait()
}

func serve(c net.Conn) {
	var buf [4096]byte
	for {
		n, err := c.Read(buf[:])
		if err == nil {
			_, err = c.Write(buf[:n])
		}
		if err != nil {
			if err != io.EOF {
				fmt.Fprintln(os.Stderr, err)
			}
			c.Close()
			return
		}
	}
}

func moreFiles() {
	l := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20} // root may have more
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l) == nil {
		return
	}
	must(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l))
	l.Cur = l.Max
	must(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l))
}

func echoServer() {
	at := fmt.Sprintf("127.0.0.1:%d", number("port", 7801))
	paramsDone()
	moreFiles()
	l, err := net.Listen("tcp", at)
	must(err)
	end := make(chan os.Signal, 1)
	signal.Notify(end, syscall.SIGTERM)
	go func() {
		for {
			c, err := l.Accept() // without delay, as Go has it
			must(err)
			go serve(c)
		}
	}()
	<-end
}
