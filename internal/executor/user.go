package executor

import (
	"fmt"
	"strconv"
	"strings"
)

// User is whom a program runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary groups; none where empty
}

// String gives UID:GID:GROUP,GROUP…, "" for nil: what a supervisor is told.
func (u *User) String() string {
	if u == nil {
		return ""
	}
	groups := make([]string, len(u.Groups))
	for i, g := range u.Groups {
		groups[i] = strconv.FormatUint(uint64(g), 10)
	}
	return fmt.Sprintf("%d:%d:%s", u.UID, u.GID, strings.Join(groups, ","))
}

// parseUser undoes String. What it does not understand is an error and never
// the agent's own user.
func parseUser(s string) (*User, error) {
	if s == "" {
		return nil, nil //nolint:nilnil // no user is the agent's own
	}
	uid, rest, ok := strings.Cut(s, ":")
	gid, groups, ok2 := strings.Cut(rest, ":")
	if !ok || !ok2 {
		return nil, fmt.Errorf("bad user %q", s)
	}
	u := &User{}
	list := []string{uid, gid}
	if groups != "" {
		list = append(list, strings.Split(groups, ",")...)
	}
	for i, text := range list {
		n, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("bad user %q", s)
		}
		switch i {
		case 0:
			u.UID = uint32(n)
		case 1:
			u.GID = uint32(n)
		default:
			u.Groups = append(u.Groups, uint32(n))
		}
	}
	return u, nil
}
