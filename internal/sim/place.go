package sim

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"ssmrun/internal/agentlink"
	"ssmrun/internal/sigv4"
)

// Where is what is known about the service's place.
type Where struct {
	Endpoint string `json:"endpoint"`
	Region   string `json:"region"`
	// The service's own key; a ready file has it, an endpoint file has not.
	AccessKeyID string `json:"access_key_id"`
	SecretKey   string `json:"secret_access_key"`
}

// Place tells where the service is now.
type Place func() (Where, error)

// Fixed is a service that never moves.
func Fixed(w Where) Place { return func() (Where, error) { return w, nil } }

// fresh is how long a file is not read again: thousands of agents ask.
const fresh = 100 * time.Millisecond

// File is a service that says in a file where it is: endpoint.json of its data
// folder, or its ready file. A service that starts again elsewhere is found.
func File(path string) Place {
	var mu sync.Mutex
	var last Where
	var lastErr error
	var at time.Time
	return func() (Where, error) {
		mu.Lock()
		defer mu.Unlock()
		if at.IsZero() || time.Since(at) >= fresh {
			last, lastErr = read(path)
			at = time.Now()
		}
		return last, lastErr
	}
}

func read(path string) (Where, error) {
	var w Where
	b, err := os.ReadFile(path)
	if err != nil {
		return w, fmt.Errorf("read where the service is: %w", err)
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return Where{}, fmt.Errorf("read where the service is: %s is not valid JSON", filepath.Base(path)) // err could quote a secret
	}
	if w.Endpoint == "" {
		return Where{}, fmt.Errorf("read where the service is: %s names no endpoint", filepath.Base(path))
	}
	return w, nil
}

func (p Place) endpoint() agentlink.EndpointSource {
	return func() (string, error) {
		w, err := p()
		return w.Endpoint, err
	}
}

// keys gives the service's own key.
func (p Place) keys() (sigv4.Keys, error) {
	w, err := p()
	if err == nil && (w.AccessKeyID == "" || w.SecretKey == "") {
		err = errors.New("the service's place names no access key; a ready file does")
	}
	return sigv4.Keys{AccessKeyID: w.AccessKeyID, SecretAccessKey: w.SecretKey}, err
}
