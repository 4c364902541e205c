package bench

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// outputRepeats times a file of outputPiece bytes are an output of 1 GiB and a
// little more. No part of an upload begins where the file does.
const (
	outputPiece   = 16<<20 + 4099
	outputRepeats = 64
)

// output measures an output of 1 GiB, with a tenth of it on stderr at the same
// time, into the service's own S3; what arrives is compared.
func output(t *testing.T, out *table) {
	s := testenv.Start(t, testenv.Options{Agents: 1, Buckets: []string{"logs"}})
	piece := make([]byte, outputPiece)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(piece)
	dir := t.TempDir()
	file, ended := filepath.Join(dir, "piece"), filepath.Join(dir, "ended")
	if err := os.WriteFile(file, piece, 0o600); err != nil {
		t.Fatal(err)
	}
	cat := func(n int) string { return fmt.Sprintf("for i in $(seq %d); do cat %s; done", n, file) }
	agent, service := s.AgentPID(s.InstanceIDs[0]), s.PID()
	agentBefore, serviceBefore := peakRSS(t, agent), peakRSS(t, service)
	agentTime, serviceTime := cpu(t, agent), cpu(t, service)
	started := time.Now()
	sent, err := s.SSM().SendCommand(t.Context(), &ssm.SendCommandInput{
		DocumentName: aws.String("AWS-RunShellScript"), InstanceIds: s.InstanceIDs, OutputS3BucketName: aws.String("logs"),
		Parameters: map[string][]string{"commands": {
			"{ " + cat(outputRepeats/10) + "; } >&2 &", cat(outputRepeats), "wait", "date +%s.%N >" + ended,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := sent.Command.CommandId
	if err := ssm.NewCommandExecutedWaiter(s.SSM(), func(o *ssm.CommandExecutedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 10*time.Millisecond, 10*time.Millisecond
	}).Wait(t.Context(), &ssm.GetCommandInvocationInput{CommandId: id, InstanceId: aws.String(s.InstanceIDs[0])}, 5*time.Minute); err != nil {
		t.Fatal(err)
	}
	over := time.Now()
	b, err := os.ReadFile(ended)
	if err != nil {
		t.Fatal(err)
	}
	at, err := strconv.ParseFloat(strings.TrimSpace(string(b)), 64)
	if err != nil {
		t.Fatal(err)
	}
	prefix := aws.ToString(id) + "/" + s.InstanceIDs[0] + "/awsrunShellScript/0.awsrunShellScript/"
	for stream, n := range map[string]int{"stdout": outputRepeats, "stderr": outputRepeats / 10} {
		want := sha256.New()
		for range n {
			want.Write(piece)
		}
		compareObject(t, s, prefix+stream, want, int64(n)*outputPiece)
	}
	took := over.Sub(started)
	bytes := float64((outputRepeats + outputRepeats/10) * outputPiece)
	out.value("output of 1 GiB and 0.1 GiB on stderr into S3: call to result", fmt.Sprintf("%.1f s", took.Seconds()), "")
	out.value("the same, throughput", fmt.Sprintf("%.0f MB/s", bytes/1e6/took.Seconds()), "")
	out.value("end of the script to the result", fmt.Sprintf("%.2f s", float64(over.UnixNano())/1e9-at), "")
	out.value("memory peak of the agent (VmHWM), before and after", mb(agentBefore)+", "+mb(peakRSS(t, agent)), "flat")
	out.value("memory peak of the service with its S3 (VmHWM), before and after", mb(serviceBefore)+", "+mb(peakRSS(t, service)), "")
	out.value("processor time of agent and service", fmt.Sprintf("%.1f s, %.1f s", (cpu(t, agent)-agentTime).Seconds(), (cpu(t, service)-serviceTime).Seconds()), "")
}

func compareObject(t *testing.T, s *testenv.Service, key string, want hash.Hash, size int64) {
	t.Helper()
	o, err := s.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("logs"), Key: aws.String(key)})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Body.Close()
	got := sha256.New()
	n, err := io.Copy(got, o.Body)
	if sum := hex.EncodeToString(got.Sum(nil)); err != nil || n != size || sum != hex.EncodeToString(want.Sum(nil)) {
		t.Errorf("%s: %d bytes of %d, digest %s, %v", key, n, size, sum, err)
	}
}

// peakRSS is the largest resident set of a process so far.
func peakRSS(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "VmHWM:" {
			kb, _ := strconv.Atoi(f[1])
			return kb * 1024
		}
	}
	return 0
}
