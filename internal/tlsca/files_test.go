package tlsca_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"ssmrun/internal/tlsca"

	"ssmrun/internal/testlog"
)

// TestFiles: the operator's certificate is shown, and the next one without a
// restart; a pair that is half written changes nothing.
func TestFiles(t *testing.T) {
	t.Parallel()
	dir, c, l := t.TempDir(), newClock(), &testlog.Log{}
	cert, key := pair(t, dir, "one.test", begin.Add(48*time.Hour))
	f, err := tlsca.OpenFiles(cert, key, c.Now, l.Logger())
	if err != nil {
		t.Fatal(err)
	}
	if f.Name() != "one.test" {
		t.Errorf("name %q", f.Name())
	}
	shown := func() string {
		t.Helper()
		got, err := f.Certificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.Subject.CommonName
	}
	if got := shown(); got != "one.test" {
		t.Errorf("shown: %s", got)
	}
	next, nextKey := pair(t, dir, "another.test", begin.Add(72*time.Hour))
	write(t, cert, read(t, next), 0o644) // the key is yet to come
	if got := shown(); got != "one.test" {
		t.Errorf("within the minute: %s", got)
	}
	c.set(begin.Add(2 * time.Minute))
	if got := shown(); got != "one.test" || !strings.Contains(l.String(), "the one before stays") {
		t.Errorf("half written: %s, log %s", got, l)
	}
	write(t, key, read(t, nextKey), 0o600)
	c.set(begin.Add(4 * time.Minute))
	if got := shown(); got != "another.test" || !strings.Contains(l.String(), "was read again") {
		t.Errorf("renewed: %s, log %s", got, l)
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	c.set(begin.Add(80 * time.Hour))
	if got := shown(); got != "another.test" || !strings.Contains(l.String(), "has ended, and clients refuse it") {
		t.Errorf("gone and ended: %s, log %s", got, l)
	}
}

// TestOpenFilesRefuses: each error names the flag and what is wrong.
func TestOpenFilesRefuses(t *testing.T) {
	t.Parallel()
	dir, c := t.TempDir(), newClock()
	cert, key := pair(t, dir, "one.test", begin.Add(48*time.Hour))
	_, otherKey := pair(t, dir, "another.test", begin.Add(48*time.Hour))
	old, oldKey := pair(t, dir, "old.test", begin.Add(-time.Minute))
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		write(t, path, []byte(content), 0o600)
		return path
	}
	for name, k := range map[string]struct {
		cert, key string
		at        time.Time
		says      string
	}{
		"no certificate file": {filepath.Join(dir, "nowhere"), key, begin, "--tls-cert: "},
		"no key file":         {cert, filepath.Join(dir, "nowhere"), begin, "--tls-key: "},
		"a folder":            {dir, key, begin, "--tls-cert: "},
		"not each other's":    {cert, otherKey, begin, "is not the key of --tls-cert"},
		"exchanged":           {key, cert, begin, "holds no certificate"},
		"the key missing":     {cert, cert, begin, "cannot be read"},
		"an empty file":       {file("empty", ""), key, begin, "holds no certificate"},
		"a passphrase":        {cert, file("locked", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"), begin, "passphrase"},
		"no certificate":      {file("broken", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), key, begin, "cannot be read"},
		"ended":               {old, oldKey, begin, "has ended at 2026-11-26T11:59:00Z: renew it"},
		"not begun":           {cert, key, begin.Add(-24 * time.Hour), "is the clock right"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newClock()
			c.set(k.at)
			_, err := tlsca.OpenFiles(k.cert, k.key, c.Now, nil)
			if err == nil || !strings.Contains(err.Error(), k.says) {
				t.Errorf("got %v, want %q in it", err, k.says)
			}
		})
	}
	if runtime.GOOS == "windows" {
		return
	}
	if os.Geteuid() != 0 {
		unreadable := file("unreadable", string(read(t, key)))
		if err := os.Chmod(unreadable, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := tlsca.OpenFiles(cert, unreadable, c.Now, nil); err == nil || !strings.Contains(err.Error(), "permission denied") {
			t.Errorf("an unreadable key: %v", err)
		}
	}
	l := &testlog.Log{}
	if err := os.Chmod(key, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := tlsca.OpenFiles(cert, key, c.Now, l.Logger()); err != nil || !strings.Contains(l.String(), "chmod 600") {
		t.Errorf("a key that all can read: %v, log %s", err, l)
	}
}
