// The workloads of test/bench with goroutines, to be compared with: the first word says
// which, by the name of the C program, and the others are its parameters.
//
// Each does what that program does, step by step, by the means that Go has for it:
//
//	pthread_create, pthread_join   go, sync.WaitGroup
//	pthread_mutex, _cond, _rwlock  sync.Mutex, sync.Cond, sync.RWMutex
//	sem_t                          a buffered channel: Go has no semaphore
//	std::promise, std::future      a channel for one value
//	sched_yield                    runtime.Gosched
//	read, write                    os.File and net.Conn, which use Go's poller
//
// What is measured where, and why, is said in the C programs.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

var programs = map[string]func(){
	"create_join": createJoin,
	"echo_server": echoServer,
	"fan_out":     fanOuts,
	"future":      futures,
	"idle":        idle,
	"mutex":       mutexes,
	"parked":      parked,
	"pingpong":    pingpongs,
	"queue":       queue,
	"ring":        ring,
	"rwlock":      rwlocks,
	"skynet":      skynet,
	"sleepers":    sleepers,
	"yield":       yields,
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		die("which? the first word is the name of a program of test/bench")
	}
	params = os.Args[2:]
	programs[os.Args[1]]()
	if len(figures) > 0 {
		fmt.Println(strings.Join(figures, ", "))
	}
}

func die(what ...any) {
	fmt.Fprintln(os.Stderr, what...)
	os.Exit(2)
}

func must(err error) {
	if err != nil {
		die(err)
	}
}

// ---- Parameters: NAME=VALUE; one that is not asked for is refused ----

var params []string

func word(name, otherwise string) string {
	for i, p := range params {
		if value := strings.TrimPrefix(p, name+"="); value != p {
			params = append(params[:i:i], params[i+1:]...)
			return value
		}
	}
	return otherwise
}

func number(name string, otherwise int) int {
	n, err := strconv.Atoi(word(name, strconv.Itoa(otherwise)))
	if err != nil || n < 0 {
		die(name + ": not a number from 0 on")
	}
	return n
}

func paramsDone() {
	if len(params) > 0 {
		die(params[0] + ": no such parameter")
	}
}

// ---- Figures ----

var figures []string

func put(name string, value float64, unit string) {
	figures = append(figures, strings.TrimSpace(
		fmt.Sprintf("%s=%.6g %s", name, value, unit)))
}
