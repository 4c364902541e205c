package executor

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// cgroupPrefix begins the name of every cgroup that this package makes; only
// such ones are ever swept or killed.
const cgroupPrefix = "ssmrun-"

// cgroups makes and removes the steps' cgroups below one parent.
type cgroups struct {
	parent string
	// noKillFile takes the way of kernels before 5.14, which have no cgroup.kill.
	noKillFile bool

	mu        sync.Mutex
	lingering map[string]bool // steps over, daemons alive: removed when empty
}

// cgroup is one step's.
type cgroup struct {
	path       string
	noKillFile bool // as in cgroups
}

// findCgroupParent returns the agent's own cgroup in a mounted cgroup v2
// hierarchy, from the contents of /proc/self/mountinfo and /proc/self/cgroup.
// Hybrid systems mount that hierarchy beside the v1 ones, usually as "unified".
func findCgroupParent(mountinfo, selfCgroup []byte) (string, error) {
	own := ""
	for line := range bytes.Lines(selfCgroup) {
		if p, ok := bytes.CutPrefix(bytes.TrimRight(line, "\n"), []byte("0::")); ok {
			own = string(p)
		}
	}
	if !strings.HasPrefix(own, "/") || strings.HasPrefix(own, "/..") || strings.HasSuffix(own, " (deleted)") {
		return "", fmt.Errorf("find cgroup: this process has none in a v2 hierarchy that is visible here (%q)", own)
	}
	s := bufio.NewScanner(bytes.NewReader(mountinfo))
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		// ID PARENT MAJ:MIN ROOT POINT OPTIONS [TAGS…] - TYPE SOURCE SUPEROPTIONS
		left, right, ok := strings.Cut(s.Text(), " - ")
		mount, kind := strings.Fields(left), strings.Fields(right)
		if !ok || len(mount) < 6 || len(kind) < 3 || kind[0] != "cgroup2" || !writable(mount[5]) || !writable(kind[2]) {
			continue
		}
		root, point := unescapeMount(mount[3]), unescapeMount(mount[4])
		rel := own
		if root != "/" {
			if rel, ok = strings.CutPrefix(own, root); !ok || rel != "" && rel[0] != '/' {
				continue
			}
		}
		return path.Join(point, rel), nil
	}
	return "", errors.New("find cgroup: no writable cgroup v2 mount")
}

func writable(options string) bool {
	for o := range strings.SplitSeq(options, ",") {
		if o == "ro" {
			return false
		}
	}
	return true
}

// unescapeMount undoes mountinfo's octal escapes of space, tab, newline and
// backslash.
func unescapeMount(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// newCgroups checks by making one that cgroups can be made below parent.
func newCgroups(parent string, now time.Time) (*cgroups, error) {
	c := &cgroups{parent: parent, lingering: make(map[string]bool)}
	probe, err := c.create("probe")
	if err != nil {
		return nil, err
	}
	defer func() { _ = probe.remove() }()
	kind, err := os.ReadFile(filepath.Join(probe.path, "cgroup.type"))
	if err != nil {
		return nil, fmt.Errorf("try cgroup: %w", err)
	}
	if k := strings.TrimSpace(string(kind)); k != "domain" {
		return nil, fmt.Errorf("try cgroup: a new one below %s is %q, not a domain", parent, k)
	}
	c.sweepAll(now)
	return c, nil
}

// create makes an empty cgroup with a name that was never used before.
func (c *cgroups) create(id string) (*cgroup, error) {
	var unique [6]byte
	_, _ = rand.Read(unique[:]) // never fails
	p := filepath.Join(c.parent, cgroupPrefix+cgroupName(id)+"-"+hex.EncodeToString(unique[:]))
	if err := os.Mkdir(p, 0o755); err != nil {
		return nil, fmt.Errorf("make cgroup: %w", err)
	}
	return &cgroup{path: p, noKillFile: c.noKillFile}, nil
}

// cgroupName keeps of an id what is safe in a file name, 100 bytes at most.
func cgroupName(id string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
			return r
		}
		return '_'
	}, id[:min(len(id), 100)])
}

// retire removes a step's cgroup, or remembers it while a daemon lives in it.
func (c *cgroups) retire(g *cgroup) {
	if g.remove() != nil {
		c.mu.Lock()
		c.lingering[g.path] = true
		c.mu.Unlock()
	}
}

// sweep removes the remembered cgroups that have become empty.
func (c *cgroups) sweep() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.lingering {
		if (&cgroup{path: p}).remove() == nil {
			delete(c.lingering, p)
		}
	}
}

// freshCgroup is the age below which an empty cgroup may be another agent's that
// is about to be used. Were it removed all the same, that start would notice and
// make another.
const freshCgroup = time.Minute

// sweepAll removes the empty cgroups below the parent that an earlier run of the
// agent left, and remembers those whose daemons live.
func (c *cgroups) sweepAll(now time.Time) {
	old, _ := filepath.Glob(filepath.Join(c.parent, cgroupPrefix+"*"))
	for _, p := range old {
		g := &cgroup{path: p}
		if live, err := g.populated(); err != nil || live {
			c.mu.Lock()
			c.lingering[p] = true
			c.mu.Unlock()
		} else if fi, err := os.Stat(p); err == nil && now.Sub(fi.ModTime()) >= freshCgroup {
			_ = g.remove()
		}
	}
}

// populated says whether a live process is in the cgroup or below it.
func (g *cgroup) populated() (bool, error) {
	f, err := os.Open(filepath.Join(g.path, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return true, err
	}
	defer func() { _ = f.Close() }()
	return populatedIn(f)
}

// populatedIn reads an open cgroup.events again. Reading the descriptor that is
// polled also takes note of its event.
func populatedIn(f *os.File) (bool, error) {
	var b [256]byte
	n, err := f.ReadAt(b[:], 0)
	if errors.Is(err, unix.ENODEV) {
		return false, nil // removed
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return true, err
	}
	return bytes.Contains(b[:n], []byte("populated 1")), nil
}

// remove removes the empty cgroup and the cgroups that the script made below it.
func (g *cgroup) remove() error {
	// Looked at as a whole first: below a daemon that lives on are cgroups of its
	// own that are empty at times, and they are not ours to remove.
	p, err := g.populated()
	if err != nil {
		return fmt.Errorf("remove cgroup: %w", err)
	}
	if p {
		return fmt.Errorf("remove cgroup %s: processes live in it", g.path)
	}
	return removeCgroups(g.path)
}

func removeCgroups(p string) error {
	err := unix.Rmdir(p)
	if errors.Is(err, unix.EBUSY) {
		entries, rerr := os.ReadDir(p)
		if rerr != nil {
			return rerr
		}
		for _, e := range entries {
			if e.IsDir() {
				if err := removeCgroups(filepath.Join(p, e.Name())); err != nil {
					return err
				}
			}
		}
		err = unix.Rmdir(p)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("remove cgroup %s: %w", p, err)
	}
	return nil
}

// kill kills all that is in the cgroup and below, and waits until it is empty.
func (g *cgroup) kill(deadline time.Time) error {
	f, err := os.Open(filepath.Join(g.path, "cgroup.events"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("kill cgroup: %w", err)
	}
	defer func() { _ = f.Close() }()
	for {
		if err := g.killOnce(); err != nil {
			return err
		}
		// The kernel kills what forks meanwhile too, but the old way does not:
		// hence the rounds. An event wakes us as soon as the cgroup is empty.
		for round := time.Now().Add(50 * time.Millisecond); time.Now().Before(round); {
			p, err := populatedIn(f)
			if err != nil {
				return fmt.Errorf("kill cgroup: %w", err)
			}
			if !p {
				return nil
			}
			pollFD(int(f.Fd()), unix.POLLPRI, time.Until(round))
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("kill cgroup %s: processes are left: %v", g.path, g.pids())
		}
	}
}

func (g *cgroup) killOnce() error {
	if !g.noKillFile {
		err := writeControl(filepath.Join(g.path, "cgroup.kill"), "1")
		if err == nil || errors.Is(err, unix.ENODEV) {
			return nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("kill cgroup: %w", err)
		}
	}
	// Frozen processes do not fork, and die when they are killed. Before 5.2 there
	// is no freezing either; the rounds of kill make up for it.
	_ = writeControl(filepath.Join(g.path, "cgroup.freeze"), "1")
	for _, pid := range g.pids() {
		if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill process %d of cgroup: %w", pid, err)
		}
	}
	return nil
}

// pids lists the processes in the cgroup and below, as far as they can be read.
func (g *cgroup) pids() []int {
	var pids []int
	_ = filepath.WalkDir(g.path, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil
		}
		b, _ := os.ReadFile(filepath.Join(p, "cgroup.procs"))
		for f := range bytes.FieldsSeq(b) {
			if pid, err := strconv.Atoi(string(f)); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// writeControl writes an existing control file; os.WriteFile would try to make
// a missing one and report that instead.
func writeControl(file, value string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}
