//go:build linux

package executor

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// meter reports the median, the fastest run and the processor time: the mean says
// more about what else the machine does.
type meter struct {
	began time.Time
	took  []time.Duration
}

// cpu is what this process and its children have used of the processors.
func cpu() time.Duration {
	var sum time.Duration
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var u unix.Rusage
		_ = unix.Getrusage(who, &u)
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

func newMeter(b *testing.B) *meter {
	m := &meter{}
	before := cpu()
	b.Cleanup(func() {
		slices.Sort(m.took)
		b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(len(m.took)), "ms-cpu")
		b.ReportMetric(float64(m.took[len(m.took)/2].Microseconds())/1000, "ms-median")
		b.ReportMetric(float64(m.took[0].Microseconds())/1000, "ms-fastest")
	})
	return m
}

func (m *meter) begin() { m.began = time.Now() }
func (m *meter) end()   { m.took = append(m.took, time.Since(m.began)) }

// What a tree costs: a shell that does nothing, started plainly and with each way
// of holding its tree, output pipes included.
func BenchmarkStep(b *testing.B) {
	b.Run("plain", func(b *testing.B) {
		m := newMeter(b)
		for b.Loop() {
			m.begin()
			cmd := exec.Command("sh", "-c", "true")
			cmd.Env = testEnv()
			cmd.Stdout, cmd.Stderr = NewCapture(24_000), NewCapture(24_000)
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
			m.end()
		}
	})
	b.Run("cgroup", func(b *testing.B) { benchmarkStep(b, cgroupExecutor(b), "true") })
	b.Run("supervisor", func(b *testing.B) { benchmarkStep(b, smallSupervisor(b), "true") })
	b.Run("supervisor in the test binary", func(b *testing.B) { benchmarkStep(b, supervisorExecutor(b), "true") })
}

// smallSupervisor re-executes a program that is nothing but the supervisor.
func smallSupervisor(b *testing.B) *Executor {
	b.Helper()
	exe := filepath.Join(b.TempDir(), "agent")
	build := exec.Command("go", "build", "-o", exe, "./testdata/agent")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return New(Config{NoCgroup: true, SelfExe: exe})
}

// What the end of a tree of ten processes costs, its start not counted.
func BenchmarkKill(b *testing.B) {
	b.Run("cgroup", func(b *testing.B) { benchmarkKill(b, cgroupExecutor(b)) })
	b.Run("supervisor", func(b *testing.B) { benchmarkKill(b, supervisorExecutor(b)) })
}

func BenchmarkOutput(b *testing.B) {
	e := supervisorExecutor(b)
	b.SetBytes(64 << 20)
	benchmarkStep(b, e, "exec head -c 67108864 /dev/zero")
}

func benchmarkStep(b *testing.B, e *Executor, script string) {
	m := newMeter(b)
	for b.Loop() {
		m.begin()
		s := sh(script)
		s.Stdout, s.Stderr = NewCapture(24_000), NewCapture(24_000)
		p, err := e.Start(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		if res := p.Wait(); res.ExitCode != 0 || res.Err != nil {
			b.Fatalf("%+v", res)
		}
		m.end()
	}
}

func benchmarkKill(b *testing.B, e *Executor) {
	m := newMeter(b)
	for range b.N {
		b.StopTimer()
		out := newLines()
		s := sh(`for i in 1 2 3 4 5 6 7 8 9; do sh -c 'echo x; sleep 1000; :' & done; wait`)
		s.Stdout = out
		p, err := e.Start(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		for range 9 {
			<-out.ch
		}
		b.StartTimer()
		m.begin()
		p.Kill(nil)
		if res := p.Wait(); res.Err != nil {
			b.Fatal(res.Err)
		}
		m.end()
	}
}
