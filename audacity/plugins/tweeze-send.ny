;nyquist plug-in
;version 4
;type analyze
;name "Tweeze Send"
;action "Sending to Tweeze..."
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false
;control query "The sound (several: a; b)" string "" ""
;control unwanted "But not (several: a; b)" string "" ""
;@CONTROLS@

;@COMMON@

;@SENDING@

;; Audacity runs this once for each selected track, so that each gets a job of its own.
(setf tweeze-number (get '*track* 'index))
(setf tweeze-id (strcat (tweeze-prefix) (tweeze-moment)))
(setf tweeze-path (strcat tweeze-mixtures tweeze-id ".wav"))
(setf tweeze-frames (truncate len))

;; Writes the track's selection as a float WAV file; true if all of it is there. Nyquist does not
;; keep what was written, for nothing but the file asks for it.
(defun tweeze-capture ()
  (s-save (prog1 *track* (setf *track* nil)) tweeze-frames tweeze-path
    :format snd-head-wave :mode snd-mode-float :bits 32)
  (tweeze-is-whole tweeze-path tweeze-frames))

(defun tweeze-send ()
  (if (tweeze-capture)
    (tweeze-write (strcat "jobs/" tweeze-id)
      (append
        (list
          (list "tweeze" "1")
          (list "id" tweeze-id)
          (list "mixture" tweeze-path)
          (list "client" "nyquist")
          (list "title" (tweeze-one-line (get '*track* 'name))))
        (tweeze-sounds query "query")
        (tweeze-sounds unwanted "not")
        (list
          ;@FIELDS@
          )))))

(setf tweeze-said
  (cond
    ((null (assoc "query" (tweeze-sounds query "query") :test #'string=))
      "The description is empty: describe the sound in a few words, like 'dog barking'.")
    ((tweeze-trouble t))
    ((> (* tweeze-frames (tweeze-channels) 4) 2000000000)
      "The selection is longer than a WAV file can be: select less, and try again.")
    ((tweeze-send) nil)
    (t tweeze-no-room)))

;; One box for all tracks: a fault with the first that has it, success with the last.
(cond
  ((tweeze-was-told) "")
  (tweeze-said (tweeze-told) tweeze-said)
  ((< tweeze-number (length (get '*selection* 'tracks))) "")
  (t "Tweeze works on it. In a moment, select the same range of a copy of the track, and run Tweeze Collect."))
