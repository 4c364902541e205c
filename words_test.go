package ssmrun_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"ssmrun"
)

func TestJoinIsAsObserved(t *testing.T) {
	t.Parallel()
	if got, want := ssmrun.Join("failed-stdout\n", "failed-stderr\n"), "failed-stdout\n\n----------ERROR-------\nfailed-stderr\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := ssmrun.Join("out", ""); got != "out" {
		t.Errorf("without stderr: %q", got)
	}
	got := ssmrun.Join(strings.Repeat("x", 14_000), "")
	if len(got) != 2500 || !strings.HasSuffix(got, ssmrun.MarkJoined) || strings.Count(got, "x") != 2477 {
		t.Errorf("cut to %d characters, %d of the output, ending in %q", len(got), strings.Count(got, "x"), got[len(got)-30:])
	}
}

func TestCutStream(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "stream")
		limit := rapid.IntRange(20, 60).Draw(t, "limit")
		got := ssmrun.CutStream(s, limit)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit {
			t.Fatalf("%d characters of at most %d, valid %v", utf8.RuneCountInString(got), limit, utf8.ValidString(got))
		}
		if utf8.RuneCountInString(s) <= limit && got != s {
			t.Fatalf("%q was changed to %q", s, got)
		}
		if got != s && !strings.HasSuffix(got, ssmrun.MarkStream) {
			t.Fatalf("%q was cut without a mark", got)
		}
	})
	if got := ssmrun.CutStream("a\xffb", 24_000); got != "a\uFFFDb" {
		t.Errorf("a byte that is no UTF-8: %q", got)
	}
}

func TestExec(t *testing.T) {
	t.Parallel()
	for in, want := range map[time.Duration]time.Duration{
		2 * time.Second:         time.Hour,
		5 * time.Second:         5 * time.Second,
		48 * time.Hour:          48 * time.Hour,
		48*time.Hour + 1:        time.Hour,
		0:                       time.Hour,
		-1 * time.Second:        time.Hour,
		1200 * time.Second:      20 * time.Minute,
		4999 * time.Millisecond: time.Hour,
	} {
		if got := ssmrun.Exec(in); got != want {
			t.Errorf("Exec(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestErrorsKeepTheirInsides(t *testing.T) {
	t.Parallel()
	inner := errors.New("disk is on fire")
	err := fmt.Errorf("send: %w", &ssmrun.Error{Code: ssmrun.CodeInternal, Message: "An internal error occurred.", Err: inner})
	if ssmrun.ErrorCode(err) != ssmrun.CodeInternal || !errors.Is(err, inner) {
		t.Errorf("lost: %v", err)
	}
	if m := ssmrun.ErrorMessage(err); strings.Contains(m, "fire") {
		t.Errorf("a user would see %q", m)
	}
	if m := ssmrun.ErrorMessage(inner); strings.Contains(m, "fire") {
		t.Errorf("a user would see %q", m)
	}
}

func TestCheckBucketName(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"logs", "my-logs.example", "a1b", strings.Repeat("a", 63)} {
		if err := ssmrun.CheckBucketName(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{"", "ab", strings.Repeat("a", 64), "Logs", "my_logs", "-logs", "logs-", "a..b", "192.168.0.1", "xn--a-b", "s3://logs", "a-s3alias"} {
		if err := ssmrun.CheckBucketName(bad); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("%q", bad)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestValidInstanceID(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]bool{
		"i-0123456789abcdef0": true, "i-01234567": true, "mi-0123456789abcdef0": true,
		"": false, "i-": false, "i-0123456789abcdef": false, "i-0123456789ABCDEF0": false, "mi-01234567": false,
		"i-0123456789abcdef0\n": false, " i-01234567": false,
	} {
		if got := ssmrun.ValidInstanceID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}
