package agent

import (
	"os/exec"
	"slices"
	"testing"
	"time"
)

// BenchmarkTrue is the time from a job's leaving the service to its final reply
// there, for the script `true`: websocket, journal, fork, exec and exit
// included. Medians, with a bare start of a shell measured in between.
func BenchmarkTrue(b *testing.B) {
	s := setup(b)
	s.start()
	s.run(script(b, "true"))
	var whole, shell []time.Duration
	for b.Loop() {
		start := time.Now()
		s.run(script(b, "true"))
		whole = append(whole, time.Since(start))
		start = time.Now()
		must(b, exec.Command("/bin/sh", "-c", "true").Run())
		shell = append(shell, time.Since(start))
	}
	median := func(d []time.Duration) float64 {
		slices.Sort(d)
		return float64(d[len(d)/2].Microseconds()) / 1000
	}
	b.ReportMetric(median(whole), "ms-median")
	b.ReportMetric(median(shell), "ms-median-bare-shell")
}
