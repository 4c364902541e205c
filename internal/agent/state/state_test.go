package state

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

func TestFolderIsLockedAndNamesItsProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "i-1")
	if _, err := ReadProcess(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("ReadProcess before: %v", err)
	}
	f, err := Open(dir, time.Now(), "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, time.Now(), ""); !errors.Is(err, ErrLocked) {
		t.Fatalf("second Open: %v, want ErrLocked", err)
	}
	p, err := ReadProcess(dir)
	if err != nil {
		t.Fatal(err)
	}
	if p.PID != os.Getpid() || p.Version != "1.2.3" || !p.Alive() {
		t.Errorf("process %+v, alive %v", p, p.Alive())
	}
	for _, other := range []Process{
		{PID: p.PID, StartTime: p.StartTime + 1, BootID: p.BootID},
		{PID: p.PID, StartTime: p.StartTime, BootID: "another boot"},
		{PID: 0},
		{PID: 1 << 30, StartTime: p.StartTime, BootID: p.BootID},
	} {
		if other.Alive() {
			t.Errorf("%+v counts as alive; the real one is %+v", other, p)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "agent.json"))
	windows := runtime.GOOS == "windows" // modes mean nothing there: TestFolderIsPrivate
	if err != nil || info.Mode().Perm() != 0o600 && !windows {
		t.Errorf("agent.json: %v %v", info.Mode(), err)
	}
	if info, _ := os.Stat(dir); info.Mode().Perm() != 0o700 && !windows {
		t.Errorf("folder has mode %v", info.Mode())
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f, err = Open(dir, time.Now(), "")
	if err != nil {
		t.Fatalf("Open after Close: %v", err)
	}
	f.Close()
}

// asChild makes the test binary a process that ends with its input.
const asChild = "state-test-child"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asChild {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func TestEndedProcessIsNotAlive(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, asChild)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	st, ok := startTime(cmd.Process.Pid)
	p := Process{PID: cmd.Process.Pid, StartTime: st, BootID: bootID()}
	if !ok || !p.Alive() {
		t.Fatalf("%+v is not alive", p)
	}
	in.Close()
	// Wait would reap it; a zombie is not alive either.
	state, err := cmd.Process.Wait()
	if err != nil || !state.Exited() {
		t.Fatal(state, err)
	}
	if p.Alive() {
		t.Error("an ended process counts as alive")
	}
}

func TestExchangeFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "endpoint.json")
	want := NewEndpoint("http://127.0.0.1:1", "http://127.0.0.1:1", "us-east-1", time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC))
	if err := WriteEndpoint(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadEndpoint(path)
	if err != nil || got != want || !got.Alive() {
		t.Fatalf("got %+v %v, want %+v", got, err, want)
	}
	if b, _ := os.ReadFile(path); !strings.Contains(string(b), `"started": "2026-01-02T03:04:05Z"`) {
		t.Errorf("endpoint.json:\n%s", b)
	}
	got.PID = 1 << 30
	if got.Alive() {
		t.Error("a service that cannot be is alive")
	}

	path = filepath.Join(dir, "activation.json")
	secret := Activation{ID: "id", Code: "code", Region: "us-east-1"}
	if err := WriteActivation(path, secret); err != nil {
		t.Fatal(err)
	}
	if a, err := ReadActivation(path); err != nil || a != secret {
		t.Fatal(a, err)
	}
	if err := os.WriteFile(path, []byte(`{"ActivationId": "`+secret.ID+`", "ActivationCode": "`+secret.Code+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := ReadActivation(path); err != nil || a != (Activation{ID: secret.ID, Code: secret.Code}) {
		t.Fatal("as the AWS CLI prints it:", a, err)
	}
	for range 2 {
		if err := RemoveActivation(path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, []byte(`{"activation_code":"topsecret`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadActivation(path); err == nil || strings.Contains(err.Error(), "topsecret") {
		t.Errorf("broken file: %v", err)
	}
}
