//go:build linux

package executor

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	tail := " 0 0 0 0 0 0 0 0 20 0 1 0 4711 9 9 9"
	for line, want := range map[string]proc{
		"812 (cut) S 1 812 5 34816 -1 4194304 0 0 0":        {},
		"812 (a) b (c)) Z 1 812 5 34816 -1 4194304" + tail:  {pid: 812, ppid: 1, session: 5, state: 'Z', start: 4711},
		"812 (new\nline) S 3 812 5 34816 -1 4194304" + tail: {pid: 812, ppid: 3, session: 5, state: 'S', start: 4711},
		"812 (sh S 3 812":                          {},
		"x (sh) S 3 812 5 34816 -1 4194304" + tail: {},
		"": {},
	} {
		got, err := parseStat([]byte(line))
		if (err == nil) != (want != proc{}) {
			t.Errorf("%q: %v", line, err)
		}
		if err == nil && got != want {
			t.Errorf("%q gives %+v", line, got)
		}
	}
	own, err := readProc(os.Getpid())
	if err != nil || own.pid != os.Getpid() || own.ppid != os.Getppid() || own.start == 0 || own.dead() || !own.running() {
		t.Errorf("own process: %+v, %v", own, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("812 (a) b (c)) Z 1 812 5 34816 -1 4194304 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 9"))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = parseStat(b) })
}

func TestMembers(t *testing.T) {
	t.Parallel()
	all := []proc{
		{pid: 1, ppid: 0, session: 1, start: 1},
		{pid: 10, ppid: 1, session: 10, start: 50},             // the root
		{pid: 11, ppid: 10, session: 10, start: 51},            // its child
		{pid: 12, ppid: 11, session: 12, start: 52},            // setsid
		{pid: 13, ppid: 1, session: 10, start: 53},             // orphan of its session
		{pid: 14, ppid: 12, session: 12, start: 5, state: 'Z'}, // dead
		{pid: 15, ppid: 14, session: 15, start: 54},            // below the dead
		{pid: 20, ppid: 1, session: 20, start: 60},             // another
	}
	pids := func(ps []proc) (ids []int) {
		for _, p := range ps {
			ids = append(ids, p.pid)
		}
		return ids
	}
	if diff := cmp.Diff([]int{11, 12, 15, 10, 13}, pids(membersOf(proc{pid: 10, start: 50})(all))); diff != "" {
		t.Error(diff)
	}
	for _, root := range []proc{{pid: 10, start: 49}, {pid: 99}, {pid: 1, start: 1}, {}} {
		if got := membersOf(root)(all); len(got) > 0 {
			t.Errorf("%+v has %v", root, pids(got))
		}
	}
}

func TestFrames(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	sent := [][]string{{"start", "", "\xff\x00", strings.Repeat("x", 3<<20)}, {"kill"}}
	for _, f := range sent {
		if err := writeFrame(&b, f...); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range sent {
		got, err := readFrame(&b)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
	if _, err := readFrame(&b); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if err := writeFrame(&b, strings.Repeat("x", maxFrame)); err == nil || b.Len() != 0 {
		t.Errorf("too big a frame: %v, %d bytes sent", err, b.Len())
	}
	for _, bad := range []string{"\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x00\x00\x00\x05\x00\x00\x00\x02x", "\x00\x00\x00\x02\x00\x00", "\x00\x00\x00\x09\x00", "\x00\x00"} {
		if f, err := readFrame(strings.NewReader(bad)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("%q: %q, %v", bad, f, err)
		}
	}
}

func FuzzReadFrame(f *testing.F) {
	for _, fields := range [][]string{{"kill"}, {"start", "/bin/sh", "/", "1", "sh", "A=b"}} {
		var b bytes.Buffer
		if err := writeFrame(&b, fields...); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4 && in[1] > 1 {
			return // only waste: a big frame that is cut
		}
		fields, err := readFrame(bytes.NewReader(in))
		if err != nil {
			return
		}
		var b bytes.Buffer
		if err := writeFrame(&b, fields...); err != nil || !bytes.HasPrefix(in, b.Bytes()) {
			t.Errorf("%q read from %q gives %q, %v", fields, in, b.Bytes(), err)
		}
	})
}

// An order that is not one starts nothing and is answered.
func TestSupervisorRefusesBadOrders(t *testing.T) {
	t.Parallel()
	e := supervisorExecutor(t)
	for _, argv := range [][]string{{}, {strings.Repeat("x", maxFrame)}} {
		_, err := e.startTree(launch{id: testMark, path: "/bin/true", argv: argv, dir: "/", beforeStart: func(Handle) error { return nil }})
		if err == nil {
			t.Errorf("%d arguments: started", len(argv))
		}
		if len(argv) == 0 && !strings.Contains(fmt.Sprint(err), "number of arguments") {
			t.Errorf("refused with %v", err)
		}
	}
}
