package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ssmrun/internal/runner"
	"ssmrun/internal/testenv"
)

// fleet sends 4 commands to 50 of 100 agents each: 200 invocations.
func fleet(t *testing.T, out *table) {
	const agents = 100
	s := testenv.Start(t, testenv.Options{Agents: agents})
	count := filepath.Join(t.TempDir(), "count")
	client := s.SSM()
	started := time.Now()
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			ids := s.InstanceIDs[:50]
			if n%2 == 1 {
				ids = s.InstanceIDs[50:]
			}
			cfg := runner.Config{SSM: client, Region: s.Region, Endpoint: s.Endpoint}
			_, err := runner.New(cfg).Run(t.Context(), runner.Request{
				InstanceIDs: ids, Document: "AWS-RunShellScript", Timeout: 2 * time.Minute,
				Parameters: map[string]any{"commands": fmt.Sprintf("echo $AWS_SSM_INSTANCE_ID-%d >> %s", n, count)},
			}, nil)
			if err != nil {
				t.Errorf("command %d: %v", n, err)
			}
		})
	}
	wg.Wait()
	took := time.Since(started)
	b, err := os.ReadFile(count)
	if err != nil {
		t.Fatal(err)
	}
	times := map[string]int{}
	for l := range strings.FieldsSeq(string(b)) {
		times[l]++
	}
	twice := 0
	for _, n := range times {
		if n > 1 {
			twice++
		}
	}
	if len(times) != 200 || twice > 0 {
		t.Errorf("%d of 200 invocations ran, %d of them twice", len(times), twice)
	}
	out.value("200 invocations on 100 agents, all processes on this machine", fmt.Sprintf("%s, %d lost, %d twice", ms(took), 200-len(times), twice), "0 lost, 0 twice")
	s.Stop()
}
