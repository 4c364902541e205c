// Package metadata is step 6b of a run: what an EC2 instance is told of itself
// (IMDSv2), as far as agents ask for it, so that tests can run an agent as on
// EC2. daemon gives each instance a loopback port; it calls identity for the keys
// of the instance's role and of the instance itself.
//
// Whoever reaches the port gets those keys, as on EC2 whoever is on the instance.
// A session comes first, by a PUT with a header, so that a page in a browser or a
// proxy that forwards requests does not get at them by mistake.
package metadata

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"ssmrun"
	"ssmrun/internal/identity"
)

// Config is what a Handler needs.
type Config struct {
	Instance identity.EC2Instance
	Identity *identity.Service
	// About is what else is told of the instance; see the fields' comments.
	About About
	// Denied hears why the instance's role gives no keys; nil for nobody.
	Denied func(error)
	Now    func() time.Time // time.Now where nil
}

// About is what an instance is told beside its id and its role.
type About struct {
	Zone         string // availability zone; "" for the region's first
	InstanceType string // "" for t3.micro
	ImageID      string // may be ""
	PrivateIP    string // "" for 127.0.0.1
	Host         string // "" for the id
}

// Headers of IMDSv2.
const (
	headerToken = "X-Aws-Ec2-Metadata-Token"
	headerLife  = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds"
)

// maxLife bounds how long a session may last, in seconds.
const maxLife = 21600

// maxSessions bounds how many there may be; the oldest go first.
const maxSessions = 1000

// Handler serves an instance's metadata.
type Handler struct {
	cfg Config

	mu       sync.Mutex
	sessions map[[sha256.Size]byte]time.Time // of a token: when it ends
	order    [][sha256.Size]byte
}

// New makes a Handler.
func New(cfg Config) *Handler {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Denied == nil {
		cfg.Denied = func(error) {}
	}
	a := &cfg.About
	for _, f := range []struct {
		is       *string
		standard string
	}{
		{&a.Zone, cfg.Instance.Scope.Region + "a"},
		{&a.InstanceType, "t3.micro"},
		{&a.PrivateIP, "127.0.0.1"},
		{&a.Host, cfg.Instance.ID},
	} {
		if *f.is == "" {
			*f.is = f.standard
		}
	}
	return &Handler{cfg: cfg, sessions: map[[sha256.Size]byte]time.Time{}}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "EC2ws")
	if !local(r.Host) {
		// A name that leads to this address is how pages of other sites get here.
		http.Error(w, "Forbidden: name this address, not a host", http.StatusForbidden)
		return
	}
	path, ok := strings.CutPrefix(r.URL.Path, "/latest/")
	switch {
	case !ok:
		http.NotFound(w, r)
	case path == "api/token":
		h.token(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
	case !h.open(r.Header.Get(headerToken)):
		http.Error(w, "Unauthorized: get a session first, by PUT /latest/api/token", http.StatusUnauthorized)
	default:
		h.get(w, r, path)
	}
}

// local tells whether a Host header names a loopback address.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// token opens a session.
func (h *Handler) token(w http.ResponseWriter, r *http.Request) {
	life, err := strconv.Atoi(r.Header.Get(headerLife))
	switch {
	case r.Method != http.MethodPut:
		http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
		return
	case r.Header.Get("X-Forwarded-For") != "":
		http.Error(w, "Forbidden", http.StatusForbidden)
		return
	case err != nil || life < 1 || life > maxLife:
		http.Error(w, fmt.Sprintf("Bad Request: %s has to be 1 to %d", headerLife, maxLife), http.StatusBadRequest)
		return
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		http.Error(w, "Internal Server Error", http.StatusInternalServerError)
		return
	}
	token := base64.URLEncoding.EncodeToString(raw)
	sum := sha256.Sum256([]byte(token))
	h.mu.Lock()
	if len(h.order) == maxSessions {
		delete(h.sessions, h.order[0])
		h.order = h.order[1:]
	}
	h.sessions[sum] = h.cfg.Now().Add(time.Duration(life) * time.Second)
	h.order = append(h.order, sum)
	h.mu.Unlock()
	w.Header().Set(headerLife, strconv.Itoa(life))
	text(w, token)
}

// open tells whether a token's session lasts.
func (h *Handler) open(token string) bool {
	sum := sha256.Sum256([]byte(token)) // no comparison of the token itself
	h.mu.Lock()
	defer h.mu.Unlock()
	ends, ok := h.sessions[sum]
	return ok && h.cfg.Now().Before(ends)
}

// get answers what is known by its path; a path with a / at its end lists.
func (h *Handler) get(w http.ResponseWriter, r *http.Request, path string) {
	if doc := h.document(r.Context(), strings.TrimSuffix(path, "/")); doc != nil {
		w.Header().Set("Content-Type", "text/plain")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(doc)
		return
	}
	values := h.values()
	if v, ok := values[path]; ok {
		text(w, v)
		return
	}
	if names := below(values, strings.TrimSuffix(path, "/")+"/"); len(names) > 0 {
		text(w, strings.Join(names, "\n"))
		return
	}
	http.NotFound(w, r)
}

func text(w http.ResponseWriter, s string) {
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(s))
}

// reason is what may be shown of an error.
func reason(err error) string {
	if ssmrun.ErrorCode(err) == ssmrun.CodeAccessDenied {
		return ssmrun.ErrorMessage(err)
	}
	return "The keys could not be made."
}

// keys makes a credential document of what mint gives.
func (h *Handler) keys(ctx context.Context, mint func(context.Context, identity.EC2Instance) (identity.TemporaryKey, error)) any {
	now := h.cfg.Now().UTC().Format(time.RFC3339)
	key, err := mint(ctx, h.cfg.Instance)
	if err != nil {
		h.cfg.Denied(err)
		return struct{ Code, Message, LastUpdated string }{"AssumeRoleUnauthorizedAccess", reason(err), now}
	}
	return struct {
		Code, LastUpdated, Type string
		AccessKeyID             string `json:"AccessKeyId"`
		SecretAccessKey, Token  string
		Expiration              string
	}{
		"Success", now, "AWS-HMAC", key.AccessKeyID, key.Secret, key.SessionToken, key.Expires.UTC().Format(time.RFC3339),
	}
}
