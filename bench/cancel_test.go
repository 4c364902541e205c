package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/sigv4"
	"ssmrun/internal/testenv"
)

// cancelled measures from the CancelCommand call: until the last process of the
// script's tree is gone, one that left the session included, and until the
// command is shown as Cancelled by long poll. The tree holds a pipe open; that
// it is gone is the pipe's end, which the kernel tells.
func cancelled(t *testing.T, out *table) {
	s := testenv.Start(t, testenv.Options{Agents: 1})
	dir := t.TempDir()
	var gone, shown []time.Duration
	for n := range 55 {
		pipe := filepath.Join(dir, fmt.Sprint("pipe", n))
		made := filepath.Join(dir, fmt.Sprint("made", n))
		script := fmt.Sprintf("mkfifo %s && : > %s; exec 3> %s; setsid sleep 1000 & (sleep 1000 & sleep 1000) & echo begun >&3; sleep 1000", pipe, made, pipe)
		var sent struct {
			Command struct {
				CommandID string `json:"CommandId"`
			}
		}
		ask(t, s, "SendCommand", map[string]any{"DocumentName": "AWS-RunShellScript", "InstanceIds": s.InstanceIDs, "Parameters": map[string]any{"commands": []string{script}}}, "", &sent)
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if _, err := os.Stat(made); err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the script does not begin")
			}
		}
		tree, err := os.Open(pipe)
		if err != nil {
			t.Fatal(err)
		}
		in := bufio.NewReader(tree)
		if _, err := in.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		over := make(chan time.Duration, 2)
		ready := make(chan struct{})
		id := sent.Command.CommandID
		started := make(chan time.Time, 2)
		go func() {
			_, _ = io.Copy(io.Discard, in)
			at := time.Now()
			over <- at.Sub(<-started)
			_ = tree.Close()
		}()
		ended := make(chan time.Duration, 1)
		go func() {
			revision := ""
			for first := true; ; first = false {
				var list struct{ Commands []struct{ Status string } }
				wait := ""
				if !first {
					wait = revision + ";20"
				}
				revision = ask(t, s, "ListCommands", map[string]any{"CommandId": id}, wait, &list)
				if first {
					close(ready)
				}
				if len(list.Commands) != 1 || list.Commands[0].Status == "Cancelled" {
					at := time.Now()
					ended <- at.Sub(<-started)
					return
				}
			}
		}()
		<-ready
		at := time.Now()
		started <- at
		started <- at
		ask(t, s, "CancelCommand", map[string]any{"CommandId": id}, "", nil)
		a, b := <-over, <-ended
		if n >= 5 {
			gone, shown = append(gone, a), append(shown, b)
		}
	}
	out.times("CancelCommand call to process tree gone", gone, "< 100 ms")
	out.times("CancelCommand call to Cancelled by long poll", shown, "")
	s.Stop()
}

// ask makes a signed call, as a long poll where wait is given, decodes the answer
// into to, and gives its revision.
func ask(t *testing.T, s *testenv.Service, operation string, in any, wait string, to any) (revision string) {
	body, err := json.Marshal(in)
	if err != nil {
		t.Error(err)
		return ""
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.Endpoint+"/", strings.NewReader(string(body)))
	if err != nil {
		t.Error(err)
		return ""
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.1")
	r.Header.Set("X-Amz-Target", "AmazonSSM."+operation)
	if wait != "" {
		r.Header.Set("X-Ssmrun-Wait", wait)
	}
	sigv4.Sign(r, body, sigv4.Keys{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretKey}, "ssm", s.Region, time.Now())
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s: %s", operation, resp.Status, answer)
	}
	if err == nil && to != nil {
		err = json.Unmarshal(answer, to)
	}
	if err != nil {
		t.Error(err)
	}
	return resp.Header.Get("X-Ssmrun-Revision")
}
