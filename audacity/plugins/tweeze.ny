;nyquist plug-in
;version 4
;type tool
;name "Tweeze"
;action "Asking Tweeze..."
;author "Tweeze"
;release 1
;copyright "MIT license"
;debugbutton false
;control query "The sound (several: a; b)" string "" ""
;control keep "Result" choice "the sound,everything else,both" 0
;control original "Original track" choice "leave as it is,mute" 0
;control model "Model" choice "@MODELS@" 0

;@COMMON@

(setf models (list @MODEL_LIST@))
(cond
  ((string= (string-trim " ;" query) "")
    "The description is empty: describe the sound in a few words, like 'dog barking'.")
  ((tweeze-trouble t))
  (t
    (tweeze-request
      (list
        (list "action" "separate")
        (list "query" query)
        (list "keep" (nth keep '("target" "residual" "both")))
        (list "mute" (nth original '("no" "yes")))
        (list "model" (nth model models))))))
