package daemon_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"ssmrun"
	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// memory gives a line of a process's status, in bytes: VmRSS is what it has,
// VmHWM the most that it had.
func memory(t *testing.T, pid int, line string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := bytes.Cut(b, []byte(line+":"))
	var kib int
	if _, err := fmt.Sscanf(string(rest), "%d kB", &kib); err != nil || !ok {
		t.Fatalf("%s in %s: %v", line, b, err)
	}
	return kib << 10
}

// TestFlood sends what costs most, 64 at once: all bodies of the largest size,
// and some that do not end. The service's memory stays within a bound that the
// content of the bodies does not move, nobody's small call is kept from its
// answer, and afterwards all is as before.
func TestFlood(t *testing.T) {
	s := testenv.Start(t, testenv.Options{})
	before := memory(t, s.PID(), "VmRSS")
	fill := func(open, unit, end string) string {
		return open + strings.Repeat(unit, (ssmrun.MaxBodyBytes-len(open)-len(end))/len(unit)) + end
	}
	bodies := []string{
		fill(`{"a":[`, `[],`, `0]}`), fill(`{"a":[`, `{"a":1},`, `0]}`), fill(`{"a":[`, `1,`, `0]}`), fill(``, `[`, ``),
		fill(`{`, `"a":1,`, `"a":1}`), fill(`{"a":"`, "\xff", `"}`), fill(`{"CommandId":"`, "<", `"}`), strings.Repeat("[", 3<<20),
		fill(`{"Filters":[`, `{"key":""},`, `{}]}`),
	}
	callers := 64
	if testenv.Race {
		callers = 8
	}
	flood := func() {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for _, body := range bodies {
					status, code, _, _ := wireCall{target: "AmazonSSM.ListCommands", body: body}.send(t, s)
					if status != 400 && status != 413 && status != 503 || code == "InternalServerError" {
						t.Errorf("%.30s is answered %d %s", body, status, code)
					}
				}
			})
		}
		wg.Wait()
	}
	flood()

	// Partial bodies, from one who knows a key's id: more than are held at once.
	var slow []net.Conn
	for range 64 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.Endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint+"/", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Amz-Target", "AmazonSSM.ListCommands")
		sigv4.Sign(r, nil, sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: "unknown"}, "ssm", s.Region, time.Now())
		var head bytes.Buffer
		fmt.Fprintf(&head, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.URL.Host, ssmrun.MaxBodyBytes)
		_ = r.Header.Write(&head)
		head.WriteString("\r\n" + strings.Repeat("x", ssmrun.MaxBodyBytes-1))
		_ = conn.SetWriteDeadline(time.Now().Add(time.Minute))
		_, _ = conn.Write(head.Bytes()) // some are refused while they write
		slow = append(slow, conn)
	}
	if status, code, text, _ := (wireCall{target: "AmazonSSM.ListCommands", body: "{}"}).send(t, s); status != 200 {
		t.Errorf("beside slow bodies a small call is answered %d %s %s", status, code, text)
	}
	for _, conn := range slow {
		_ = conn.Close()
	}
	flood()
	// All bodies together, twice for buffers that grow, twice for the collector,
	// and the trees of what is checked at once, one for each processor.
	bound := before + 4*(32<<20) + 256<<20
	peak := memory(t, s.PID(), "VmHWM")
	t.Logf("%d MiB before, %d MiB at most, %d MiB after", before>>20, peak>>20, memory(t, s.PID(), "VmRSS")>>20)
	if peak > bound && !testenv.Race {
		t.Errorf("the service took %d MiB, which is more than %d", peak>>20, bound>>20)
	}
	ok := "{" + strings.Repeat(" ", ssmrun.MaxBodyBytes-2) + "}"
	if status, code, text, _ := (wireCall{target: "AmazonSSM.ListCommands", body: ok}).send(t, s); status != 200 {
		t.Errorf("after all a large call is answered %d %s %s", status, code, text)
	}
}
