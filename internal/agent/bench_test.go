package agent

import "testing"

// BenchmarkTrue is the time from a job's leaving the service to its final reply
// there, for the script `true`: websocket, journal, fork, exec and exit included.
func BenchmarkTrue(b *testing.B) {
	s := setup(b)
	s.start()
	s.run(script(b, "true"))
	for b.Loop() {
		s.run(script(b, "true"))
	}
}
