package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"ssmrun/internal/testenv"
)

// simulate runs simulated nodes until the test ends, and gives the activation
// that they registered with and their ids.
func simulate(t *testing.T, s *testenv.Service, nodes int) (activation string, ids []string) {
	t.Helper()
	out, err := s.SSM().CreateActivation(testenv.Context(t), &ssm.CreateActivationInput{IamRole: aws.String(testenv.DefaultRole), RegistrationLimit: aws.Int32(int32(nodes))})
	if err != nil {
		t.Fatal(err)
	}
	activation = aws.ToString(out.ActivationId)
	line, err := firstLine(t, (*exec.Cmd).StdoutPipe, "", testenv.Binary(t, "ssmrun-sim"), "--agents", strconv.Itoa(nodes),
		"--endpoint", s.Endpoint, "--region", s.Region, "--activation", activation+":"+aws.ToString(out.ActivationCode))
	var connected struct{ IDs []string }
	if err == nil {
		err = json.Unmarshal([]byte(line), &connected)
	}
	if err != nil || len(connected.IDs) != nodes {
		t.Fatalf("the simulator: %q, %v", line, err)
	}
	return activation, connected.IDs
}

// startNode runs an agent with an activation, as on another host, until the test
// ends, and gives its id once it is registered.
func startNode(t *testing.T, s *testenv.Service, dir, activation, code string) (string, error) {
	file := filepath.Join(dir, "activation.json")
	b, err := json.Marshal(map[string]string{"activation_id": activation, "activation_code": code, "region": s.Region})
	if err != nil {
		return "", fmt.Errorf("write the activation: %w", err)
	}
	testenv.WriteFile(t, file, string(b), 0o600)
	line, err := firstLine(t, (*exec.Cmd).StderrPipe, "msg=registered instance=", testenv.Binary(t, "ssmrun-agent"),
		"--endpoint", s.Endpoint, "--state", filepath.Join(dir, "state"), "--activation-file", file)
	_, rest, _ := strings.Cut(line, "msg=registered instance=")
	id, _, _ := strings.Cut(rest, " ")
	return id, err
}

// firstLine starts a program that runs until the test ends, and gives the first
// line of one of its streams that has a text in it.
func firstLine(t *testing.T, stream func(*exec.Cmd) (io.ReadCloser, error), text, program string, args ...string) (string, error) {
	cmd := exec.Command(program, args...)
	cmd.Env = testenv.CleanEnv()
	out, err := stream(cmd)
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return "", fmt.Errorf("start %s: %w", program, err)
	}
	line, read := make(chan string, 1), make(chan struct{})
	go func() {
		defer close(read)
		defer close(line)
		lines, found := bufio.NewReader(out), false
		for {
			l, err := lines.ReadString('\n')
			if !found && err == nil && strings.Contains(l, text) {
				found = true
				line <- strings.TrimSpace(l)
			}
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		_ = cmd.Wait()
	})
	select {
	case l, ok := <-line:
		if !ok {
			return "", fmt.Errorf("%s ended before it was ready", program)
		}
		return l, nil
	case <-time.After(testenv.StartTimeout):
		return "", errors.New(program + " did not get ready")
	}
}
