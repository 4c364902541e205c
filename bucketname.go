package ssmrun

import (
	"fmt"
	"net/netip"
	"strings"
)

// Prefixes and suffixes that S3 keeps for itself.
var (
	reservedPrefixes = []string{"xn--", "sthree-", "amzn-s3-demo-"}
	reservedSuffixes = []string{"-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"}
)

// CheckBucketName tells whether name can be the name of a general purpose bucket
// by S3's rules. The error, of CodeInvalidOutputFolder, names the rule that is
// broken, and is nil for a possible name. It does not tell whether such a bucket
// exists.
func CheckBucketName(name string) error {
	if rule := brokenBucketRule(name); rule != "" {
		return Errorf(CodeInvalidOutputFolder, "bucket name %q cannot be: %s", name, rule)
	}
	return nil
}

func brokenBucketRule(name string) string {
	if len(name) < 3 || len(name) > 63 {
		return fmt.Sprintf("it has %d characters, S3 wants 3 to 63", len(name))
	}
	for _, r := range name {
		if !isLowerOrDigit(r) && r != '.' && r != '-' {
			return fmt.Sprintf("it holds %q, S3 allows only lowercase letters, digits, dots and hyphens", r)
		}
	}
	if first := rune(name[0]); !isLowerOrDigit(first) {
		return fmt.Sprintf("it begins with %q, S3 wants a lowercase letter or a digit first", first)
	}
	if last := rune(name[len(name)-1]); !isLowerOrDigit(last) {
		return fmt.Sprintf("it ends with %q, S3 wants a lowercase letter or a digit last", last)
	}
	if strings.Contains(name, "..") {
		return "it holds two dots in a row, which S3 does not allow"
	}
	if looksLikeIPv4(name) {
		return "it has the form of an IP address, which S3 does not allow"
	}
	for _, p := range reservedPrefixes {
		if strings.HasPrefix(name, p) {
			return fmt.Sprintf("it begins with %q, which S3 keeps for itself", p)
		}
	}
	for _, s := range reservedSuffixes {
		if strings.HasSuffix(name, s) {
			return fmt.Sprintf("it ends with %q, which S3 keeps for itself", s)
		}
	}
	return ""
}

func isLowerOrDigit(r rune) bool { return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' }

// looksLikeIPv4 takes 999.1.1.1 for an address too, as S3 and versitygw do.
func looksLikeIPv4(name string) bool {
	if addr, err := netip.ParseAddr(name); err == nil {
		return addr.Is4()
	}
	parts := strings.Split(name, ".")
	if len(parts) != 4 {
		return false
	}
	for _, p := range parts {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return true
}
