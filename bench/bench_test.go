// Package bench measures the whole product: `make bench` runs it and prints a
// table. Nothing here fails for being slow; a command that is lost or run twice
// does fail.
//
// The environment selects and sizes:
//
//	SSMRUN_BENCH_ONLY      regular expression: only the groups whose name matches
//	SSMRUN_BENCH_AGENTS    simulated agents (10000)
//	SSMRUN_BENCH_HISTORY   commands of history (1000000)
//	SSMRUN_BENCH_PROFILE   folder for a CPU profile of each loaded service
//	SSMRUN_GENUINE_AGENT   folder with the programs of amazon-ssm-agent, to measure it too
package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"testing"
)

// groups are the rows of the table, by what they need.
var groups = []struct {
	name string
	rows func(*testing.T, *table)
}{
	{"shells", shells},
	{"latency", latency},
	{"process", process},
	{"cancel", cancelled},
	{"terraform", action},
	{"memory", memory},
	{"fleet", fleet},
	{"output", output},
	{"agents", agents},
	{"sizes", sizes},
	{"register", register},
	{"simulated", simulated},
	{"tls", overTLS},
	{"reads", reads},
	{"history", history},
}

func TestTable(t *testing.T) {
	if os.Getenv("SSMRUN_BENCH") == "" {
		t.Skip("a benchmark: run it with make bench")
	}
	only, err := regexp.Compile(os.Getenv("SSMRUN_BENCH_ONLY"))
	if err != nil {
		t.Fatalf("SSMRUN_BENCH_ONLY: %v", err)
	}
	out := newTable()
	for _, g := range groups {
		if only.MatchString(g.name) {
			t.Run(g.name, func(t *testing.T) { g.rows(t, out) })
		}
	}
	if err := out.w.Flush(); err != nil {
		t.Fatal(err)
	}
	fmt.Printf("\n%s/%s, %d CPUs, %s\n\n%s\n", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), out.buf.String())
}

// number is a size that the environment may set.
func number(t *testing.T, name string, standard int) int {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return standard
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("%s=%s: want a number from 1", name, s)
	}
	return n
}

// profiled are the arguments with which a service profiles itself, where
// SSMRUN_BENCH_PROFILE asks for it.
func profiled(name string) []string {
	dir := os.Getenv("SSMRUN_BENCH_PROFILE")
	if dir == "" {
		return nil
	}
	return []string{"--cpu-profile", filepath.Join(dir, name+".pprof")}
}
